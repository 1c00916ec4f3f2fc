-- migrate:up

-- A login, and what followed from it.
create table sessions (
  id uuid not null,
  user_id bigint not null,
  created_at timestamptz not null default now(),
  -- None of its tokens, refresh or access, is good for longer. Moves with every refresh.
  expires_at timestamptz not null,
  constraint sessions_pkey primary key (id),
  constraint sessions_user_id_fkey foreign key (user_id) references users (id) on delete cascade
);

-- A password change ends the sessions of one user.
create index sessions_by_user_id on sessions (user_id);
-- The clean-up deletes what expired.
create index sessions_by_expires_at on sessions (expires_at);

-- Each is single-use. Those that were used stay until they would have expired, so that a repeat
-- can be told from a stranger's guess. A session has several that were not used when an answer
-- got lost and the refresh was repeated.
create table refresh_tokens (
  hash bytea not null,
  session_id uuid not null,
  -- When it was used. Null as long as it was not.
  rotated_at timestamptz,
  expires_at timestamptz not null,
  constraint refresh_tokens_pkey primary key (hash),
  constraint refresh_tokens_session_id_fkey
    foreign key (session_id) references sessions (id) on delete cascade,
  -- SHA-256: the tokens themselves are never stored.
  constraint refresh_tokens_hash_sha256 check (octet_length(hash) = 32)
);

-- Ending a session deletes its tokens.
create index refresh_tokens_by_session_id on refresh_tokens (session_id);
-- The clean-up deletes what expired.
create index refresh_tokens_by_expires_at on refresh_tokens (expires_at);

-- migrate:down

drop table refresh_tokens;
drop table sessions;
