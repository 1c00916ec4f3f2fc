-- migrate:up

-- Whose access tokens are refused although their signature is valid: "user:" and an id,
-- "session:" and an id, or "token:" and the SHA-256 of what its signature signs.
create table revocations (
  key text not null,
  -- Lets the instances read what is new without missing what was committed late: a row that a
  -- snapshot does not see yet is of a transaction that is not below the snapshot's xmin.
  transaction_id xid8 not null default pg_current_xact_id(),
  -- When the last token that it concerns expires. Infinity for a user who is gone: such a row
  -- also keeps the id from ever being used again.
  expires_at timestamptz not null,
  constraint revocations_pkey primary key (key),
  constraint revocations_key_kind check (key ~ '^(user|session|token):.')
);
alter table revocations enable row level security;

-- Every instance asks once a second for what is new.
create index revocations_by_transaction_id on revocations (transaction_id);
-- Expiry deletes by it.
create index revocations_by_expires_at on revocations (expires_at);

-- migrate:down

drop table revocations;
