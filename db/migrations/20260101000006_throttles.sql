-- migrate:up

-- How often something was tried in a window of time that began with the first attempt.
create table throttles (
  -- A SHA-256 of what is counted: neither emails nor addresses are kept here.
  key text not null,
  attempts bigint not null,
  -- The end of the window.
  expires_at timestamptz not null,
  constraint throttles_pkey primary key (key),
  constraint throttles_attempts_not_negative check (attempts >= 0)
);

-- The clean-up deletes what expired.
create index throttles_by_expires_at on throttles (expires_at);

-- migrate:down

drop table throttles;
