-- migrate:up

-- How often something was tried in a window of time that began with the first attempt.
create table rate_limits (
  -- A SHA-256 of what is counted: neither emails nor addresses are kept here.
  key text not null,
  attempts bigint not null,
  -- The end of the window.
  expires_at timestamptz not null,
  constraint rate_limits_pkey primary key (key),
  constraint rate_limits_attempts_not_negative check (attempts >= 0)
);
alter table rate_limits enable row level security;

-- Expiry deletes by it.
create index rate_limits_by_expires_at on rate_limits (expires_at);

-- migrate:down

drop table rate_limits;
