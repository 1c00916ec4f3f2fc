-- migrate:up

-- A plain sequence, not an identity column, so that users can become a reference table of a
-- Postgres that is distributed by owner. It starts at 2^52: other systems that sign tokens with
-- our secret count their users from 1, and the two ranges must not meet.
create sequence user_ids
  as bigint minvalue 4503599627370496 maxvalue 9007199254740991 start 4503599627370496 no cycle;

create table users (
  id bigint not null default nextval('user_ids'),
  -- Null for a federated user.
  email text,
  -- Null for a federated user. A PHC string.
  password_hash text,
  created_at timestamptz not null default now(),
  -- Sessions that are older, and other systems' tokens that were issued before, are refused. One
  -- value ends them all, however many there are. Null: none was ended like this yet.
  tokens_valid_from timestamptz,
  -- When the operator shut the user out: nothing is deleted, and all can be as it was.
  disabled_at timestamptz,
  constraint users_pkey primary key (id),
  -- 2^53 - 1: the largest integer that every JSON client can hold.
  constraint users_id_range check (id between 1 and 9007199254740991),
  constraint users_email_length check (char_length(email) between 3 and 254),
  constraint users_password_hash_argon2id check (password_hash like '$argon2id$%'),
  constraint users_email_with_password check ((email is null) = (password_hash is null))
);
alter table users enable row level security;

-- The one rule by which emails are compared: without case, beyond ASCII too, whatever the locale of
-- the database is. It folds as search_text of todos does.
create unique index users_email_folded_key on users (upper(lower(email collate "und-x-icu")));

-- Who the users of a federated issuer are here. No foreign key: the row outlives the user, so that
-- whoever is deleted stays deleted and does not come back as somebody new.
create table identities (
  issuer text not null,
  subject text not null,
  user_id bigint not null,
  constraint identities_pkey primary key (issuer, subject),
  constraint identities_user_id_key unique (user_id),
  constraint identities_subject_length check (char_length(subject) between 1 and 255)
);
alter table identities enable row level security;

-- Who may register while registration is not open. Deleted when it is used.
create table invites (
  -- SHA-256: the token itself is never stored.
  hash bytea not null,
  -- Null: whoever has the token.
  email text,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  constraint invites_pkey primary key (hash),
  constraint invites_hash_sha256 check (octet_length(hash) = 32),
  constraint invites_email_length check (char_length(email) between 3 and 254)
);
alter table invites enable row level security;

-- Expiry deletes by it.
create index invites_by_expires_at on invites (expires_at);

-- Who may set a new password without the old one: at most one token a user, because a newer one
-- takes the place of the older. Deleted when it is used.
create table password_resets (
  user_id bigint not null,
  -- SHA-256: the token itself is never stored.
  hash bytea not null,
  expires_at timestamptz not null,
  constraint password_resets_pkey primary key (user_id),
  constraint password_resets_user_id_fkey
    foreign key (user_id) references users (id) on delete cascade,
  constraint password_resets_hash_sha256 check (octet_length(hash) = 32)
);
alter table password_resets enable row level security;

-- A token says nothing of its user.
create index password_resets_by_hash on password_resets (hash);
-- Expiry deletes by it.
create index password_resets_by_expires_at on password_resets (expires_at);

-- migrate:down

drop table password_resets;
drop table invites;
drop table identities;
drop table users;
drop sequence user_ids;
