-- migrate:up

-- Tokens that users make for their scripts. Looked up by their hash, before the owner is known:
-- a distributed Postgres keeps this table whole, as it keeps sessions.
create table personal_tokens (
  id uuid not null default gen_random_uuid(),
  user_id bigint not null,
  name text not null,
  scopes text[] not null,
  -- SHA-256: the tokens themselves are never stored.
  hash bytea not null,
  created_at timestamptz not null default now(),
  -- Null for one that does not expire.
  expires_at timestamptz,
  -- To the minute. Null as long as it was not used.
  last_used_at timestamptz,
  constraint personal_tokens_pkey primary key (id),
  constraint personal_tokens_user_id_fkey
    foreign key (user_id) references users (id) on delete cascade,
  constraint personal_tokens_hash_key unique (hash),
  constraint personal_tokens_hash_sha256 check (octet_length(hash) = 32),
  constraint personal_tokens_name_length check (char_length(name) between 1 and 100),
  constraint personal_tokens_scopes_known check (
    scopes <@ array['todos:read', 'todos:write'] and cardinality(scopes) between 1 and 2
  )
);
alter table personal_tokens enable row level security;

-- A user lists theirs, and a password reset ends them.
create index personal_tokens_by_user_id on personal_tokens (user_id);
-- Expiry deletes by it.
create index personal_tokens_by_expires_at on personal_tokens (expires_at)
  where expires_at is not null;

-- migrate:down

drop table personal_tokens;
