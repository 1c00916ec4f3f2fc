-- migrate:up

create sequence todo_ids as bigint maxvalue 9007199254740991 no cycle;

create table todos (
  owner_id bigint not null,
  id bigint not null default nextval('todo_ids'),
  title text not null,
  description text,
  is_completed boolean not null default false,
  -- Grows with every change: the entity tag.
  version bigint not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  -- The owner first: one index serves every statement that names a todo, and the table can be
  -- distributed by owner.
  constraint todos_pkey primary key (owner_id, id),
  constraint todos_owner_id_fkey foreign key (owner_id) references users (id) on delete cascade,
  constraint todos_id_range check (id between 1 and 9007199254740991),
  constraint todos_title_length check (char_length(title) between 1 and 254),
  -- Every code point that Unicode or ECMAScript calls white space, named one by one because
  -- \s depends on the locale of the database.
  constraint todos_title_not_blank check (
    btrim(title, U&'\0009\000A\000B\000C\000D\0020\0085\00A0\1680\2000\2001\2002\2003\2004\2005\2006\2007\2008\2009\200A\2028\2029\202F\205F\3000\FEFF') <> ''
  ),
  constraint todos_description_length check (char_length(description) <= 999)
);

-- One index for each way of listing: the owner, the sort key, and the id that makes the order
-- total. Each is read in both directions.
create index todos_by_created_at on todos (owner_id, created_at, id);
create index todos_by_updated_at on todos (owner_id, updated_at, id);
-- By code point, so that the order is the same on every server.
create index todos_by_title on todos (owner_id, title collate "C", id);

-- migrate:down

drop table todos;
drop sequence todo_ids;
