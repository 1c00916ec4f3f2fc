/** What .ci/lint-sql.ts refuses, because a Postgres distributed by owner would. */
import { expect, test } from "bun:test"
import { lintMigration, lintQueries } from "../../.ci/lint-sql.ts"

const query = (text: string, name = "q") =>
  lintQueries(`export const ${name} = () => sql\`${text}\``)

test.each([
  ["select id from todos where id = 1", "an owner's table without its owner_id"],
  ["select 1 from users where exists (select 1 from todos where id = 1)", "without its owner_id"],
  ["delete from revisions", "without its owner_id"],
  [
    "update todos set updated_at = updated_at + interval '1 ms' where owner_id = 1",
    "a STABLE function over a column",
  ],
  [
    "insert into idempotency_keys as k (owner_id) values (1) on conflict (owner_id) do update set a = 1 where k.created_at < now()",
    "now() in ON CONFLICT",
  ],
  [
    "with a as (select from todos where owner_id = 1) select count(*) from a",
    "a CTE with an empty select list",
  ],
  [
    "delete from todos where owner_id = 1 and set_config('a', 'b', true) <> ''",
    "a VOLATILE function",
  ],
])("%s", (text, problem) => {
  expect(query(text)).toEqual([expect.stringContaining(problem)])
})

test("what stands in a fragment counts where the fragment is used", () => {
  const source = `
const counting = (sql) => sql\`set_config('a', 'b', true) <> ''\`
export const remove = (sql) => sql\`delete from todos where owner_id = 1 and \${counting(sql)}\``
  expect(lintQueries(source)).toEqual([expect.stringContaining("remove: a VOLATILE function")])
})

test("a clean-up may look at all owners, and skips no locked row", () => {
  const text = "delete from idempotency_keys where created_at < now()"
  expect(query(text, "deleteExpiredKeys")).toEqual([])
  expect(query(`${text} for update skip locked`, "deleteExpiredKeys")).toHaveLength(1)
})

test("what is distributed, or stays on one node, passes", () => {
  for (const text of [
    "select id from todos where owner_id = 1",
    "update sessions set expires_at = expires_at + interval '1 day'",
    "insert into todos (owner_id, title) values (1, 'a') returning id",
    "update todos set updated_at = (updated_at at time zone 'UTC' + interval '1 ms') at time zone 'UTC' where owner_id = 1",
  ])
    expect(query(text)).toEqual([])
})

test("a migration has no identity column, and keys of owner tables begin with the owner", () => {
  expect(lintMigration("create table a (id bigint generated always as identity);")).toHaveLength(1)
  const todos = (key: string) => `create table todos (\n  id bigint,\n  primary key (${key})\n);`
  expect(lintMigration(todos("id, owner_id"))).toHaveLength(1)
  expect(lintMigration(todos("owner_id, id"))).toEqual([])
  expect(lintMigration("create unique index a on todos (title);")).toHaveLength(1)
  expect(lintMigration(`-- migrate:down\n${todos("id")}`)).toEqual([])
})
