-- migrate:up

-- A plain sequence, not an identity column, so that users can become a reference table of a
-- Postgres that is distributed by owner. It starts at 2^52: other systems that sign tokens with
-- our secret count their users from 1, and the two ranges must not meet.
create sequence user_ids
  as bigint minvalue 4503599627370496 maxvalue 9007199254740991 start 4503599627370496 no cycle;

create table users (
  id bigint not null default nextval('user_ids'),
  -- Null for a user who came from outside.
  email text,
  -- Null for a user who came from outside. A PHC string.
  password_hash text,
  created_at timestamptz not null default now(),
  constraint users_pkey primary key (id),
  -- 2^53 - 1: the largest integer that every JSON client can hold.
  constraint users_id_range check (id between 1 and 9007199254740991),
  constraint users_email_length check (char_length(email) between 3 and 254),
  constraint users_password_hash_argon2id check (password_hash like '$argon2id$%'),
  constraint users_email_with_password check ((email is null) = (password_hash is null))
);

-- Emails are unique without case, beyond ASCII too, whatever the locale of the database is.
create unique index users_email_key on users (lower(email collate "und-x-icu"));

-- migrate:down

drop table users;
drop sequence user_ids;
