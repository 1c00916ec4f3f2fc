/** Databases and files for tests of backup and restore. */
import { runCommand } from "./command.ts"
import { createDatabase, createEmptyDatabase } from "./postgres.ts"
import { insertMany } from "./rows.ts"
import { openSql, type TestSql } from "./sql.ts"
import { SECRET_KEY } from "./tokens.ts"

export const withSql = async <Result>(url: string, work: (sql: TestSql) => Promise<Result>) => {
  await using sql = openSql(url)
  return await work(sql)
}

/** Without a schema; it is gone at the end. */
export const emptyDatabase = async () => {
  const { url, drop } = await createEmptyDatabase()
  return {
    url,
    /** Of tables, so that nothing at all has been done to it. */
    tables: () =>
      withSql(url, async (sql) => {
        const [row] = await sql`
          select count(*)::int as count
          from pg_class
          where relnamespace = 'public'::regnamespace`
        return row?.["count"]
      }),
    [Symbol.asyncDispose]: drop,
  }
}

/** A migrated one, whose only user has so many todos, of 200 bytes each. */
export const databaseWithTodos = async (count: number) => {
  const { url, drop } = await createDatabase()
  await withSql(url, async (sql) => {
    await sql`insert into users (id) values (7)`
    await insertMany(sql, 7, count, {
      title: "gen_random_uuid()::text",
      description: "repeat(gen_random_uuid()::text, 5)",
    })
  })
  return { url, [Symbol.asyncDispose]: drop }
}

export const backup = (url: string, file: string, ...flags: string[]) =>
  runCommand(["backup", ...flags, file], { DATABASE_URL: url, SECRET_KEY })

export const restore = (url: string, file: string) =>
  runCommand(["restore", file], { DATABASE_URL: url })
