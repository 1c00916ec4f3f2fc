-- migrate:up

-- A login. Its refresh token is single-use: refreshing replaces the hash and keeps the one before
-- it, so that a repeat can be told from a stranger's guess.
create table sessions (
  id uuid not null,
  user_id bigint not null,
  refresh_token_hash bytea not null,
  previous_token_hash bytea,
  rotated_at timestamptz,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  constraint sessions_pkey primary key (id),
  constraint sessions_user_id_fkey foreign key (user_id) references users (id) on delete cascade,
  -- SHA-256: the tokens themselves are never stored.
  constraint sessions_refresh_token_hash_sha256 check (octet_length(refresh_token_hash) = 32),
  constraint sessions_previous_token_hash_sha256 check (octet_length(previous_token_hash) = 32)
);

create unique index sessions_refresh_token_hash_key on sessions (refresh_token_hash);
-- A password change ends the sessions of one user.
create index sessions_by_user_id on sessions (user_id);
-- The clean-up deletes what expired.
create index sessions_by_expires_at on sessions (expires_at);

-- migrate:down

drop table sessions;
