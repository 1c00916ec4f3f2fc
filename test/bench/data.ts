/** The database of a run: an embedded Postgres of its own, filled with what real use leaves behind. */
import { createHmac, randomUUID } from "node:crypto"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import postgres from "postgres"
import { connectionOptions } from "../../src/config/database-url.ts"
import { startEmbedded } from "../../src/database/embedded/start.ts"
import { migrate } from "../../src/database/migrations/migrate.ts"
import { insertTodos } from "../support/rows.ts"
import { superuserUrl } from "../support/superuser.ts"
import { cpuTime } from "./load.ts"

export const SECRET_KEY = "a secret key for benchmarks, and long enough for HS512 by its length"
export const PASSWORD = "correct horse battery staple"

export const USERS = 1_000
export const TODOS_EACH = 200
/** The one user with very many todos. */
export const HOARDER = USERS + 1
export const HOARD = 1_000_000

/** The one whose list is read as a whole. */
export const COLLECTOR = USERS + 2
export const COLLECTION = 100_000

/** The id of the nth todo of a user: they are seeded one user after the other. */
export const todoId = (user: number, nth: number) => (user - 1) * TODOS_EACH + nth

const base64url = (text: string) => Buffer.from(text).toString("base64url")

export const signToken = (userId: number, secret = SECRET_KEY) => {
  const now = Math.floor(Date.now() / 1000)
  const claims = { sub: String(userId), jti: randomUUID(), iat: now, exp: now + 86_400 }
  const signed = `${base64url('{"alg":"HS256","typ":"JWT"}')}.${base64url(JSON.stringify(claims))}`
  return `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`
}

/**
 * USERS with TODOS_EACH, the HOARDER with all of the HOARD, and the COLLECTOR, into a database without a
 * schema.
 */
export const fillDatabase = async (
  url: string,
  { hoard = HOARD, collection = 0, superuser = url } = {},
) => {
  await migrate(url, "up")
  const sql = postgres({ ...connectionOptions(superuser), max: 1 })
  const passwordHash = await Bun.password.hash(PASSWORD, {
    algorithm: "argon2id",
    memoryCost: 19_456,
    timeCost: 2,
  })
  await sql`
    insert into users (id, email, password_hash)
    select n, 'user-' || n || '@example.org', ${passwordHash}
    from generate_series(1, ${COLLECTOR}::int) as n`
  const columns = "title, description, is_completed, created_at"
  await insertTodos(
    sql,
    columns,
    `select owner::bigint, 'Todo ' || nth || ' of user ' || owner,
      repeat('What it is about. ', nth % 6), nth % 3 = 0,
      now() - interval '1 minute' * (${TODOS_EACH} - nth)
    from generate_series(1, ${USERS}) as owner, generate_series(1, ${TODOS_EACH}) as nth
    order by owner, nth`,
  )
  for (const [owner, count] of [
    [HOARDER, hoard],
    [COLLECTOR, collection],
  ])
    await insertTodos(
      sql,
      columns,
      `select ${owner}::bigint, 'Todo ' || nth, repeat('What it is about. ', nth % 6), nth % 3 = 0,
        now() - interval '1 second' * (${count} - nth)
      from generate_series(1, ${count}) as nth`,
    )
  await sql`vacuum analyze`
  return sql
}

export const startDatabase = async (hoard = HOARD, collection = 0) => {
  const directory = mkdtempSync(join(tmpdir(), "todo-api-bench-"))
  const server = await startEmbedded(directory)
  const superuser = await superuserUrl(directory, server.url)
  const sql = await fillDatabase(server.url, { hoard, collection, superuser })
  return {
    url: server.url,
    /** Todos that nobody changed yet, their ids counted from a number on: each user has every 1,000th. */
    async addTodos(first: number, count: number) {
      await insertTodos(
        sql,
        "id, title",
        `select 1 + id % ${USERS}, id, 'Todo ' || id
        from generate_series(${first}::bigint, ${first + count - 1}::bigint) as id`,
      )
    },
    /** Milliseconds of the processes that serve the servers' connections, so far. */
    async cpuTimes() {
      const backends = await sql<{ pid: number }[]>`
        select pid
        from pg_stat_activity
        where backend_type = 'client backend'
          and pid <> pg_backend_pid()`
      return new Map(backends.map(({ pid }) => [pid, cpuTime(pid)]))
    },
    async [Symbol.asyncDispose]() {
      await sql.end()
      await server.stop()
      rmSync(directory, { recursive: true, force: true })
    },
  }
}
export type Database = Awaited<ReturnType<typeof startDatabase>>
