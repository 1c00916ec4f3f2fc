-- migrate:up

-- Nobody but the owner has a right on what was made here, and on schema_migrations. Default
-- privileges may have given some: Supabase's give everybody who has the public key every right on
-- new tables. Row level security, which lets the owner pass, is the second lock. Whoever else serves
-- needs the rights that db/README.md lists.
do $$
declare
  others text := (
    select concat_ws(', ', 'public', string_agg(distinct grantee::regrole::text, ', '))
    from pg_default_acl
    cross join aclexplode(defaclacl)
    where defaclrole = (select oid from pg_roles where rolname = current_user)
      and grantee not in (0, defaclrole)
  );
begin
  execute 'revoke all on table schema_migrations, users, identities, invites, password_resets,
    sessions, known_addresses, revocations, rate_limits, personal_tokens, mails, todos,
    idempotency_keys, epochs, revisions, deleted_todos from ' || others;
  execute 'revoke all on sequence user_ids, todo_ids from ' || others;
  execute 'revoke all on function is_todo, is_idempotency_key from ' || others;
end
$$;
alter table schema_migrations enable row level security;

-- migrate:down

alter table schema_migrations disable row level security;
