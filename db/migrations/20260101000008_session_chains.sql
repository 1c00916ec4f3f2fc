-- migrate:up

-- A session is one chain of refresh tokens: a token is the session's id, a generation and a
-- signature, so that no token needs a row of its own. Sessions from before begin at generation 0:
-- the first refresh by one of their tokens in refresh_tokens moves them to 1.
-- refresh_tokens can be dropped by the first release that no longer takes those tokens: at the
-- earliest REFRESH_TOKEN_EXPIRE_DAYS after the last instance of the previous release has stopped.
alter table sessions
  add column generation bigint not null default 0,
  -- When the generation moved. Not rotated_at: the previous release joins refresh_tokens, which has
  -- a column of that name, without saying which it means.
  add column moved_at timestamptz not null default now(),
  -- What its user recognises it by. Null for a session from before, until its next refresh.
  add column user_agent text,
  add column address text,
  add column last_used_at timestamptz not null default now(),
  -- Not valid: the rows that are there have nulls, and need no look.
  add constraint sessions_user_agent_length check (char_length(user_agent) <= 256) not valid,
  add constraint sessions_address_length check (char_length(address) <= 64) not valid;

-- A session may have millions of these, and must end in an instant. Without their session they are
-- of no use, and are deleted when they expire.
alter table refresh_tokens drop constraint refresh_tokens_session_id_fkey;

-- Sessions that are older, and other systems' tokens that were issued before, are refused. One
-- value ends them all, however many there are. Null: nothing was ended like this yet.
alter table users add column tokens_valid_from timestamptz;

-- From where an account was logged in to: there a stranger's wrong guesses do not lock it.
create table known_addresses (
  user_id bigint not null,
  -- SHA-256, as in throttles.
  address_hash bytea not null,
  -- 30 days after the last login from there.
  expires_at timestamptz not null,
  constraint known_addresses_pkey primary key (user_id, address_hash),
  constraint known_addresses_user_id_fkey
    foreign key (user_id) references users (id) on delete cascade,
  constraint known_addresses_hash_sha256 check (octet_length(address_hash) = 32)
);

-- The clean-up deletes what expired.
create index known_addresses_by_expires_at on known_addresses (expires_at);

-- Emails that differ only in a final sigma, or in a long s, become the same for new accounts. Of
-- those that are there already the oldest stays, and the others are marked: all of them can still
-- log in, each by its email as it was registered, and nobody else can join them.
alter table users add column shares_email boolean not null default false;
update users
set shares_email = true
from (
  select
    id,
    row_number() over (
      partition by upper(lower(email collate "und-x-icu"))
      order by created_at, id
    ) as place
  from users
  where email is not null
) as placed
where placed.id = users.id
  and placed.place > 1;

-- migrate:down

alter table users
  drop column shares_email,
  drop column tokens_valid_from;
drop table known_addresses;
delete from refresh_tokens
where not exists (select from sessions where sessions.id = session_id);
alter table refresh_tokens
  add constraint refresh_tokens_session_id_fkey
    foreign key (session_id) references sessions (id) on delete cascade;
alter table sessions
  drop column generation,
  drop column moved_at,
  drop column user_agent,
  drop column address,
  drop column last_used_at;
