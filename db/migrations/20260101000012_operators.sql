-- migrate:up

-- A user whom the operator has shut out: nothing is deleted, and all that was can be again.
alter table users add column disabled_at timestamptz;

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

-- The clean-up deletes what expired.
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

-- A token says nothing of its user.
create index password_resets_by_hash on password_resets (hash);
-- The clean-up deletes what expired.
create index password_resets_by_expires_at on password_resets (expires_at);

-- migrate:down

drop table password_resets;
drop table invites;
alter table users drop column disabled_at;
