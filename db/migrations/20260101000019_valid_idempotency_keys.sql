-- migrate:up

-- On its own, too: see 20260101000018.
alter table idempotency_keys validate constraint idempotency_keys_is_idempotency_key;

-- migrate:down

-- Nothing: the constraint goes with the migration that added it.
select 1;
