-- migrate:up

-- The creates that a client may repeat. The answer itself is not kept: a repeat sends the same
-- body, and with it and these columns the answer can be written again, byte for byte.
create table idempotency_keys (
  owner_id bigint not null,
  key text collate "C" not null,
  -- SHA-256 of the body's JSON value.
  body_hash bytea not null,
  -- No foreign key: the answer outlives the todo.
  todo_id bigint not null,
  -- The todo's own, too: one statement creates both.
  created_at timestamptz not null default now(),
  constraint idempotency_keys_pkey primary key (owner_id, key),
  constraint idempotency_keys_owner_id_fkey
    foreign key (owner_id) references users (id) on delete cascade,
  constraint idempotency_keys_key_visible_ascii check (key ~ '^[!-~]{1,255}$'),
  constraint idempotency_keys_body_hash_sha256 check (octet_length(body_hash) = 32)
);

-- The clean-up deletes what expired.
create index idempotency_keys_by_created_at on idempotency_keys (created_at);

-- migrate:down

drop table idempotency_keys;
