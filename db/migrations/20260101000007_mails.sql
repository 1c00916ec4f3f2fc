-- migrate:up

-- What is still to be sent. A row holds no token: that of a password reset is made when its mail
-- is, so that whoever reads this table can do nothing with it.
create table mails (
  id uuid not null,
  kind text not null,
  -- As the client wrote it, for a password reset: whether somebody has it is looked up later, so
  -- that asking for one takes the same time for all.
  recipient text not null,
  attempts bigint not null default 0,
  -- Whoever sends it moves this on first: it is theirs until then.
  due_at timestamptz not null default now(),
  created_at timestamptz not null default now(),
  -- When it is abandoned.
  expires_at timestamptz not null,
  constraint mails_pkey primary key (id),
  constraint mails_kind check (kind in ('password_reset', 'email_changed')),
  constraint mails_recipient_length check (char_length(recipient) between 3 and 254)
);
alter table mails enable row level security;

-- Every instance that sends mails asks once a second for what is due.
create index mails_by_due_at on mails (due_at);
-- Expiry deletes by it.
create index mails_by_expires_at on mails (expires_at);

-- migrate:down

drop table mails;
