-- migrate:up

-- In a function for the reason of is_todo.
create function is_idempotency_key(key text, body_hash bytea) returns boolean
language plpgsql immutable parallel safe as $$
begin
  return char_length(key) between 1 and 255
    -- Visible ASCII. Without a count: one of up to 255 alone took a twentieth of a create's time.
    and key !~ '[^!-~]'
    -- SHA-256.
    and octet_length(body_hash) = 32;
end
$$;

-- The creates that a client may repeat. The response itself is not kept: a repeat sends the same
-- body, and with it and these columns the response can be written again, byte for byte.
create table idempotency_keys (
  owner_id bigint not null,
  key text collate "C" not null,
  -- SHA-256 of the body's JSON value.
  body_hash bytea not null,
  -- No foreign key: the response outlives the todo.
  todo_id bigint not null,
  -- The todo's own, too: one statement creates both.
  created_at timestamptz not null default now(),
  constraint idempotency_keys_pkey primary key (owner_id, key),
  constraint idempotency_keys_owner_id_fkey
    foreign key (owner_id) references users (id) on delete cascade,
  constraint idempotency_keys_is_idempotency_key check (is_idempotency_key(key, body_hash))
);
alter table idempotency_keys enable row level security;

-- Expiry deletes by it.
create index idempotency_keys_by_created_at on idempotency_keys (created_at);

-- migrate:down

drop table idempotency_keys;
drop function is_idempotency_key(text, bytea);
