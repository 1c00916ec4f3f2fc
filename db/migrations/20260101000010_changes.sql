-- migrate:up

-- What the sync tokens of clients are bound to. A restored backup gets another one: what happened
-- after it was made is unknown to it, and a token from that time must be refused.
create table epochs (
  id boolean not null default true,
  epoch uuid not null default gen_random_uuid(),
  constraint epochs_pkey primary key (id),
  constraint epochs_one_row check (id)
);
alter table epochs enable row level security;
insert into epochs default values;

-- How often the todos of a user have changed. Whoever changes them counts up here, and so holds
-- the row's lock until the commit: the order of revisions is the order of commits. No index has
-- the revision, so that counting writes none; the free half of a page is for the next version. No
-- check constraints: each write would prepare them anew, which took a seventh of its time.
create table revisions (
  owner_id bigint not null,
  revision bigint not null,
  -- Deletions up to this revision are not remembered any more.
  tombstones_forgotten_up_to bigint not null default 0,
  -- How many todos the owner has: the quota and a list's count ask for it.
  todos bigint not null default 0,
  constraint revisions_pkey primary key (owner_id),
  -- Deferred: for a user who is not there yet the foreign key of the todo speaks first.
  constraint revisions_owner_id_fkey foreign key (owner_id) references users (id)
    on delete cascade deferrable initially deferred
) with (fillfactor = 50);
alter table revisions enable row level security;

-- The todos that were deleted, for as long as copies of them may be waiting to learn of it. Their
-- content stays for as long as they can be restored, and is null after that. No foreign key: a
-- deletion would pay for it, and all of them expire.
create table deleted_todos (
  owner_id bigint not null,
  id bigint not null,
  revision bigint not null,
  deleted_at timestamptz not null default now(),
  title text,
  description text,
  is_completed boolean,
  -- Null if there is no content.
  created_at timestamptz,
  updated_at timestamptz,
  constraint deleted_todos_pkey primary key (owner_id, revision, id)
);
alter table deleted_todos enable row level security;

-- Each deletion is in one of them: content expires by the first, what is left of it by the second.
create index deleted_todos_with_content_by_deleted_at on deleted_todos (deleted_at)
where created_at is not null;
create index deleted_todos_without_content_by_deleted_at on deleted_todos (deleted_at)
where created_at is null;

-- The trash of an owner, newest first, however many of their todos were forgotten.
create index deleted_todos_with_content on deleted_todos (owner_id, deleted_at, id)
where created_at is not null;
-- One that is to be restored, however many there are.
create index deleted_todos_with_content_by_id on deleted_todos (owner_id, id)
where created_at is not null;

-- migrate:down

drop table deleted_todos;
drop table revisions;
drop table epochs;
