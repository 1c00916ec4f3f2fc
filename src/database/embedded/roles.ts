/**
 * Sets up the roles of the cluster. The role `todo` owns the service's database, has a password and is no
 * superuser. The superuser cannot log in at all, so that roles are set up in Postgres' single-user
 * mode, which asks for no password.
 */
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { writePrivateFile } from "../../data-dir/private-files.ts"
import { ownDirectory, type Place, serverEnvironment, settingsWith } from "./process.ts"

const HEADER = "# Written by todo-api: only the service is let in.\n"
const ACCESS = `${HEADER}local todo todo scram-sha-256\n`

export const SUPERUSER = "superuser"

/** In clusters of earlier releases `todo` is the first role, which can be neither demoted nor dropped. */
const roles = (password: string) => `
do $$
begin
  if exists (select from pg_roles where oid = 10 and rolname = 'todo') then
    -- Nobody can rename himself.
    create role todo_setup superuser;
    set session authorization todo_setup;
    alter role todo rename to ${SUPERUSER};
    set session authorization ${SUPERUSER};
    drop role todo_setup;
  end if;
  if not exists (select from pg_roles where rolname = 'todo') then
    create role todo;
  end if;
  alter role todo login nosuperuser nocreatedb nocreaterole password '${password}';
end $$;

create database todo owner todo;

`

const ownership = `
alter database todo owner to todo;

do $$
declare
  relation regclass;
begin
  if (select rolsuper from pg_roles where rolname = 'todo') then
    raise exception 'todo is still a superuser';
  end if;
  for relation in
    select oid
    from pg_class
    where relnamespace = 'public'::regnamespace
      and relowner <> 'todo'::regrole
      and relkind in ('r', 'p', 'S', 'v', 'm')
      -- A sequence that is a column's goes with its table.
      and not exists (
        select
        from pg_depend
        where objid = pg_class.oid
          and classid = 'pg_class'::regclass
          and refclassid = 'pg_class'::regclass
          and deptype in ('a', 'i')
      )
  loop
    execute format('alter table %s owner to todo', relation);
  end loop;
end $$;

`

const execute = async (
  { programs, cluster, user }: Place,
  database: string,
  statements: string,
  options: Record<string, string>,
) => {
  const postgres = Bun.spawn(
    [
      ...[join(programs, "bin", "postgres"), "--single", "-j", "-D", ownDirectory(cluster, user)],
      ...settingsWith({ ...options, log_min_messages: "error" }),
      database,
    ],
    {
      ...user,
      cwd: cluster,
      env: serverEnvironment,
      stdin: Buffer.from(statements),
      stdout: "ignore",
      stderr: "pipe",
    },
  )
  const [complaint, status] = await Promise.all([postgres.stderr.text(), postgres.exited])
  if (status !== 0) throw new Error(`Postgres cannot be set up: ${complaint.trim()}`)
}

/** Can be repeated. Works on new clusters and on those of earlier releases, which trusted everybody. */
export const setUpRoles = async (place: Place, password: string) => {
  // Without exit_on_error, because the database may exist.
  await execute(place, "postgres", roles(password), {})
  await execute(place, "todo", ownership, { exit_on_error: "on" })
  writePrivateFile(join(place.cluster, "pg_hba.conf"), ACCESS, place.user)
}

export const isSetUp = (cluster: string) => {
  const file = join(cluster, "pg_hba.conf")
  return existsSync(file) && readFileSync(file, "utf8").startsWith(HEADER)
}
