-- migrate:up

-- What the states that clients keep are bound to. A restored backup gets another one: what
-- happened after it was made is unknown to it, and a state from that time must be refused.
create table epochs (
  id boolean not null default true,
  epoch uuid not null default gen_random_uuid(),
  constraint epochs_pkey primary key (id),
  constraint epochs_one_row check (id)
);
insert into epochs default values;

-- How often the todos of a user have changed. Whoever changes them counts up here, and so holds
-- the row's lock until the commit: the order of revisions is the order of commits. No index has
-- the revision, so that counting writes none; the free half of a page is for the next version. No
-- check constraints: each write would prepare them anew, which took a seventh of its time.
create table revisions (
  owner_id bigint not null,
  revision bigint not null,
  -- Deletions up to this revision are not remembered any more.
  forgotten bigint not null default 0,
  constraint revisions_pkey primary key (owner_id),
  -- Deferred: for a user who is not there yet the foreign key of the todo speaks first.
  constraint revisions_owner_id_fkey foreign key (owner_id) references users (id)
    on delete cascade deferrable initially deferred
) with (fillfactor = 50);

-- The todos that were deleted, for as long as copies of them may be waiting to hear of it. No
-- foreign key: a deletion would pay for it, and all of them expire.
create table deleted_todos (
  owner_id bigint not null,
  id bigint not null,
  revision bigint not null,
  deleted_at timestamptz not null default now(),
  constraint deleted_todos_pkey primary key (owner_id, revision, id)
);

-- The clean-up deletes what expired. Rows lie in the order of their time, so that a summary of
-- each range of pages will do, which costs a deletion nearly nothing.
create index deleted_todos_by_deleted_at on deleted_todos using brin (deleted_at);

-- The revision of the owner's last change to the todo; 0 for one that has not changed since there
-- are revisions. A constant default, so that no row is rewritten. The lock is asked for again and
-- again: a transaction that has the table for long would otherwise hold up all that come after us.
do $$
begin
  for attempt in 1..600 loop
    begin
      perform set_config('lock_timeout', '100ms', true);
      alter table todos add column revision bigint not null default 0;
      perform set_config('lock_timeout', '0', true);
      return;
    exception when lock_not_available then
      perform pg_sleep(0.1);
    end;
  end loop;
  raise exception 'the table todos was in use for too long';
end
$$;

-- Writers that count up themselves say so: they set the revision of the todo, or, where they
-- delete it, todo_api.counts. The triggers are for all others: the release before this one, which
-- serves while this one is deployed, and whoever writes by hand.

-- One revision for all changes of a transaction: nobody sees a part of them.
create function next_revision(owner bigint) returns bigint
language plpgsql as $$
declare
  taken bigint;
begin
  select revision into taken
  from revisions
  where owner_id = owner
    and xmin = pg_current_xact_id()::xid;
  if not found then
    insert into revisions as known (owner_id, revision)
    values (owner, 1)
    on conflict on constraint revisions_pkey do update
    set revision = known.revision + 1
    returning known.revision into taken;
  end if;
  return taken;
end
$$;

create function take_revision() returns trigger
language plpgsql as $$
begin
  new.revision := next_revision(new.owner_id);
  return new;
end
$$;

-- Not for those who are deleted with their owner.
create function remember_deletion() returns trigger
language plpgsql as $$
begin
  if exists (select from users where id = old.owner_id) then
    insert into deleted_todos (owner_id, id, revision)
    values (old.owner_id, old.id, next_revision(old.owner_id));
  end if;
  return null;
end
$$;

create trigger todos_inserted before insert on todos
  for each row when (new.revision = 0)
  execute function take_revision();

create trigger todos_updated before update on todos
  for each row when (new.revision = old.revision)
  execute function take_revision();

create trigger todos_deleted after delete on todos
  for each row when (coalesce(current_setting('todo_api.counts', true), '') = '')
  execute function remember_deletion();

-- migrate:down

drop trigger todos_deleted on todos;
drop trigger todos_updated on todos;
drop trigger todos_inserted on todos;
drop function remember_deletion();
drop function take_revision();
drop function next_revision(bigint);
alter table todos drop column revision;
drop table deleted_todos;
drop table revisions;
drop table epochs;
