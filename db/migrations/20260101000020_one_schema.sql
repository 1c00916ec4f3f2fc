-- migrate:up

-- The migrations before this one were joined: 02 to 11 give an empty database the whole schema. One
-- that had applied those from before, 01 to 19, has their numbers already, so that only this file
-- runs: it brings such a database to the same schema. On a new one, which never had 01, it does
-- nothing. The instances of the version before are stopped meanwhile.
do $$
declare
  alike text;
  named record;
  others text := (
    select concat_ws(', ', 'public', string_agg(distinct grantee::regrole::text, ', '))
    from pg_default_acl
    cross join aclexplode(defaclacl)
    where defaclrole = (select oid from pg_roles where rolname = current_user)
      and grantee not in (0, defaclrole)
  );
begin
  if not exists (select from schema_migrations where version = '20260101000001') then
    return;
  end if;

  -- Accounts whose emails became the same by a newer rule, and were marked as exceptions from it.
  select string_agg(ids, '; ')
  into alike
  from (
    select string_agg(id::text, ', ' order by created_at, id) as ids
    from users
    group by upper(lower(email collate "und-x-icu"))
    having count(email) > 1
  ) as same;
  if alike is not null then
    raise exception 'the emails of these users differ by the form of a letter alone: %. With the version before, change the emails of all but one (PUT /users/me/email), or delete these users (todo-api user delete)', alike;
  end if;
  drop index users_email_key;
  alter table users drop column shares_email;
  create unique index users_email_folded_key on users (upper(lower(email collate "und-x-icu")));

  drop table refresh_tokens;
  alter table sessions rename column moved_at to rotated_at;
  alter table sessions alter column generation set default 1;
  alter table sessions validate constraint sessions_user_agent_length;
  alter table sessions validate constraint sessions_address_length;

  create index known_addresses_by_address_hash on known_addresses (address_hash);

  alter table throttles rename to rate_limits;
  alter table rate_limits rename constraint throttles_pkey to rate_limits_pkey;
  alter table rate_limits
    rename constraint throttles_attempts_not_negative to rate_limits_attempts_not_negative;
  alter index throttles_by_expires_at rename to rate_limits_by_expires_at;

  -- The same rules, in a text that is read alike with standard_conforming_strings off.
  create or replace function is_todo(id bigint, title text, description text) returns boolean
  language plpgsql immutable parallel safe as $function$
begin
  return id between 1 and 9007199254740991
    and char_length(title) <= 254
    -- Every code point that Unicode or ECMAScript calls white space, named one by one because
    -- \s depends on the locale of the database. Read alike with standard_conforming_strings off.
    and btrim(title, E'\u0009\u000A\u000B\u000C\u000D\u0020\u0085\u00A0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200A\u2028\u2029\u202F\u205F\u3000\uFEFF') <> ''
    and coalesce(char_length(description), 0) <= 999;
end
$function$;

  -- Those who write count up themselves.
  drop trigger if exists todos_inserted on todos;
  drop trigger if exists todos_updated on todos;
  drop trigger if exists todos_deleted on todos;
  drop function remember_deletion();
  drop function take_revision();
  drop function next_revision(bigint);
  alter table todos alter column revision drop default;
  drop index todos_by_revision;
  create index todos_by_revision on todos (owner_id, revision, id);

  alter table revisions rename column forgotten to tombstones_forgotten_up_to;
  alter table revisions add column todos bigint not null default 0;
  alter table deleted_todos
    add column title text,
    add column description text,
    add column is_completed boolean,
    add column created_at timestamptz,
    add column updated_at timestamptz;
  drop index deleted_todos_by_deleted_at;
  create index deleted_todos_with_content_by_deleted_at on deleted_todos (deleted_at)
  where created_at is not null;
  create index deleted_todos_without_content_by_deleted_at on deleted_todos (deleted_at)
  where created_at is null;
  create index deleted_todos_with_content on deleted_todos (owner_id, deleted_at, id)
  where created_at is not null;
  create index deleted_todos_with_content_by_id on deleted_todos (owner_id, id)
  where created_at is not null;

  -- Postgres 18 names what is not null, and renames it with neither table nor column.
  for named in
    select
      conrelid::regclass as relation,
      conname,
      format('%s_%s_not_null', relname, attname) as wanted
    from pg_constraint
    join pg_class on pg_class.oid = conrelid
    join pg_attribute on attrelid = conrelid
      and attnum = conkey[1]
    where contype = 'n'
      and conrelid in ('rate_limits'::regclass, 'sessions'::regclass, 'revisions'::regclass)
      and conname <> format('%s_%s_not_null', relname, attname)
  loop
    execute format(
      'alter table %s rename constraint %I to %I', named.relation, named.conname, named.wanted
    );
  end loop;

  -- As 20260101000011 does on a new database.
  for named in
    select unnest(array[
      'schema_migrations', 'users', 'identities', 'invites', 'password_resets', 'sessions',
      'known_addresses', 'revocations', 'rate_limits', 'personal_tokens', 'mails', 'todos',
      'idempotency_keys', 'epochs', 'revisions', 'deleted_todos'
    ]) as relation
  loop
    execute format('alter table %I enable row level security', named.relation);
    execute format('revoke all on table %I from %s', named.relation, others);
  end loop;
  execute 'revoke all on sequence user_ids, todo_ids from ' || others;
  execute 'revoke all on function is_todo, is_idempotency_key from ' || others;

  -- The todos of whoever has no row have not changed since there are revisions: 0, as before.
  insert into revisions (owner_id, revision, todos)
  select owner_id, 0, count(*)
  from todos
  group by owner_id
  on conflict on constraint revisions_pkey do update
  set todos = excluded.todos;
end
$$;

-- migrate:down

do $$
begin
  if exists (select from schema_migrations where version = '20260101000001') then
    raise exception 'the step from 20260101000019 is not undone: restore a backup from before it';
  end if;
end
$$;
