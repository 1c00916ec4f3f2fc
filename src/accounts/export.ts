/** GET /users/me/export: everything that is stored about the caller, as one document. */
import type { TSchema } from "@sinclair/typebox"
import { t } from "elysia"
import type { Logger } from "pino"
import type { Limiter } from "../concurrency/limiter.ts"
import type { Sql } from "../database/sql.ts"
import { authenticated } from "../http/guard.ts"
import { inTurns, objectParts, rowsOf, type StreamedList, streamJson } from "../http/json-stream.ts"
import { instant, nullable, shape } from "../http/schema.ts"
import type { Accounts } from "./context.ts"
import { listPersonalTokens, personalToken } from "./personal-access-tokens.ts"
import { user } from "./schemas.ts"
import { HAS_NOT_ENDED } from "./sessions/queries.ts"
import { findOrCreateUser } from "./users.ts"

type Deps = Pick<Accounts, "sql" | "tokens" | "clientOf"> & {
  log: Logger
  slowReads: Limiter<number>
  /** What the other features store about a user. */
  lists: Record<string, StreamedList>
}

export const exportOfAccount = ({ lists, ...deps }: Deps) => {
  const all = { ...listsOf(deps.sql), ...lists }
  return authenticated(deps, "/users/me").get(
    "/export",
    async ({ caller, client }) => {
      const { userId } = caller
      const { sql, log, slowReads } = deps
      const find = () => findOrCreateUser(sql, userId)
      const user = await slowReads.run(userId, find, { signal: () => client.signal })
      const members = { exported_at: new Date().toISOString(), user }
      const headers = { "content-disposition": 'attachment; filename="todo-api-export.json"' }
      return streamJson(
        (left) => {
          const pages = Object.entries(all).map(([name, list]) => [
            name,
            inTurns(list.pages(userId, left), slowReads, userId, left),
          ])
          return objectParts(members, Object.fromEntries(pages))
        },
        { caller, client, log, headers },
      )
    },
    {
      response: { 200: exported(all) },
      detail: {
        operationId: "exportMe",
        responseHeaders: ["Content-Disposition"],
        summary: "Export everything that is stored about the caller",
        description:
          "One document, streamed: the account, its sessions and tokens (without anything that " +
          "gives access), and all todos. Changes that are made meanwhile may be in it or not. If " +
          "the connection ends early, the export has failed.",
      },
    },
  )
}

/** Never anything that could be used to log in. */
const listsOf = (sql: Sql): Record<string, StreamedList> => ({
  identities: {
    items: identity,
    pages: rowsOf(sql, "select issuer, subject from identities where user_id = $1", ["issuer"]),
  },
  sessions: {
    items: session,
    pages: rowsOf(
      sql,
      `select id, created_at, last_used_at, expires_at, user_agent, address
       from sessions
       where user_id = $1
         and ${HAS_NOT_ENDED}`,
      ["id"],
    ),
  },
  known_addresses: {
    items: knownAddress,
    pages: rowsOf(
      sql,
      `select encode(address_hash, 'hex') as address_hash, expires_at
       from known_addresses
       where user_id = $1`,
      ["address_hash"],
    ),
  },
  personal_tokens: {
    items: personalToken,
    async *pages(userId) {
      yield Buffer.from(JSON.stringify(await listPersonalTokens(sql, userId)).slice(1, -1))
    },
  },
})

const identity = shape(
  "Identity",
  { issuer: t.String(), subject: t.String() },
  { description: "The user's identity at an outside issuer" },
)

const session = shape(
  "ExportedSession",
  {
    id: t.String({ format: "uuid" }),
    created_at: instant(),
    last_used_at: instant(),
    expires_at: instant(),
    user_agent: nullable(t.String()),
    address: nullable(t.String()),
  },
  { description: "A session: a login and its refreshes" },
)

const knownAddress = shape(
  "KnownAddress",
  { address_hash: t.String({ description: "SHA-256, in hexadecimal" }), expires_at: instant() },
  { description: "An address from which the user logged in lately" },
)

const exported = (lists: Record<string, StreamedList>) =>
  shape(
    "Export",
    {
      exported_at: instant({ description: "When the export began" }),
      user,
      ...Object.fromEntries(
        Object.entries(lists).map(([name, { items }]): [string, TSchema] => [name, t.Array(items)]),
      ),
    },
    { description: "All that is stored about the caller" },
  )
