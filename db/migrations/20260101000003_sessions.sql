-- migrate:up

-- A login, and what followed from it: one chain of refresh tokens. A token is the session's id, a
-- generation and a signature, so that no token needs a row of its own.
create table sessions (
  id uuid not null,
  user_id bigint not null,
  created_at timestamptz not null default now(),
  -- None of its tokens, refresh or access, is valid for longer. Moves with every refresh.
  expires_at timestamptz not null,
  -- That of the refresh token which was issued last. The first is 1.
  generation bigint not null default 1,
  rotated_at timestamptz not null default now(),
  -- What its user recognises it by.
  user_agent text,
  address text,
  last_used_at timestamptz not null default now(),
  constraint sessions_pkey primary key (id),
  constraint sessions_user_id_fkey foreign key (user_id) references users (id) on delete cascade,
  constraint sessions_user_agent_length check (char_length(user_agent) <= 256),
  constraint sessions_address_length check (char_length(address) <= 64)
);
alter table sessions enable row level security;

-- A user lists theirs.
create index sessions_by_user_id on sessions (user_id);
-- Expiry deletes by it.
create index sessions_by_expires_at on sessions (expires_at);

-- From where an account was logged in to: there a stranger's wrong guesses do not lock it.
create table known_addresses (
  user_id bigint not null,
  -- SHA-256, as in rate_limits.
  address_hash bytea not null,
  -- 30 days after the last login from there.
  expires_at timestamptz not null,
  constraint known_addresses_pkey primary key (user_id, address_hash),
  constraint known_addresses_user_id_fkey
    foreign key (user_id) references users (id) on delete cascade,
  constraint known_addresses_hash_sha256 check (octet_length(address_hash) = 32)
);
alter table known_addresses enable row level security;

-- Expiry deletes by it.
create index known_addresses_by_expires_at on known_addresses (expires_at);
-- Whether an address that made too many attempts is known to anybody.
create index known_addresses_by_address_hash on known_addresses (address_hash);

-- migrate:down

drop table known_addresses;
drop table sessions;
