/** Bytes that a row takes in each table and in its indexes, after 100,000 typical rows. */
import postgres from "postgres"
import { connectionOptions } from "../../src/config/database-url.ts"
import { migrate } from "../../src/database/migrations/migrate.ts"
import { table } from "./report.ts"

const server = process.env["TEST_DATABASE_URL"]
if (server === undefined) throw new Error("To be run by .ci/postgres-15")
const ROWS = 100_000

/** A row each for n from 1 to ROWS; every user has ten todos. */
const ROW: Record<string, string> = {
  users: `(id, email, password_hash)
    select n, 'user-' || n || '@example.org', '$argon2id$v=19$m=19456,t=2,p=1$' || repeat('x', 66)`,
  identities: `(issuer, subject, user_id)
    select 'https://issuer.example', gen_random_uuid()::text, n`,
  sessions: `(id, user_id, expires_at, generation, user_agent, address)
    select gen_random_uuid(), n, now() + interval '1 ms' * n, 1,
      'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0', '198.51.100.' || n % 256`,
  personal_tokens: `(user_id, name, scopes, hash, expires_at)
    select 1 + n % 100, 'Backup of the wiki', '{todos:read}', sha256(n::text::bytea), now() + interval '1 day'`,
  revocations: `(key, expires_at)
    select 'session:' || gen_random_uuid(), now() + interval '1 ms' * n`,
  known_addresses: `(user_id, address_hash, expires_at)
    select n, sha256(n::text::bytea), now() + interval '30 days' + interval '1 ms' * n`,
  invites: `(hash, email, expires_at)
    select sha256(n::text::bytea), 'user-' || n || '@example.org', now() + interval '1 ms' * n`,
  password_resets: `(user_id, hash, expires_at)
    select n, sha256(n::text::bytea), now() + interval '1 ms' * n`,
  mails: `(id, kind, recipient, expires_at)
    select gen_random_uuid(), 'password_reset', 'user-' || n || '@example.org', now() + interval '1 ms' * n`,
  rate_limits: `(key, attempts, expires_at)
    select encode(sha256(n::text::bytea), 'base64'), 1, now() + interval '1 ms' * n`,
  todos: `(owner_id, title, description, revision)
    select 1 + n % (${ROWS} / 10), 'Todo ' || n, repeat('What it is about. ', n % 6), 10`,
  idempotency_keys: `(owner_id, key, body_hash, todo_id)
    select 1 + n % (${ROWS} / 10), gen_random_uuid()::text, sha256(n::text::bytea), n`,
  revisions: "(owner_id, revision) select n, 10",
  deleted_todos: `(owner_id, id, revision, title, description, is_completed, created_at, updated_at)
    select 1 + n % (${ROWS} / 10), n, n, 'Todo ' || n, repeat('What it is about. ', n % 6), true, now(), now()`,
}

const sql = postgres({ ...connectionOptions(server), max: 1, onnotice: () => {} })
await migrate(server, "up")
const rows = []
for (const [name, row] of Object.entries(ROW)) {
  await sql.unsafe(`truncate ${name} cascade`)
  await sql.unsafe(`insert into ${name} ${row} from generate_series(1, ${ROWS}) as n`)
  const [size] = await sql<[{ heap: number; indexes: number }]>`
    select
      round(pg_table_size(${name}::regclass)::numeric / ${ROWS})::int as heap,
      round(pg_indexes_size(${name}::regclass)::numeric / ${ROWS})::int as indexes`
  rows.push({
    table: name,
    "bytes a row": String(size.heap),
    "of its indexes": String(size.indexes),
  })
}
console.log(table(rows))
await sql.end()
