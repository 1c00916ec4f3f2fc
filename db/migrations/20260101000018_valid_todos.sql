-- migrate:up

-- On its own: in the transaction that added the constraint it would keep writers waiting.
alter table todos validate constraint todos_is_todo;

-- migrate:down

-- Nothing: the constraint goes with the migration that added it.
select 1;
