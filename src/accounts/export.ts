/** /users/me/export: everything that is stored about the caller, as one document. */

import { Elysia } from "elysia"
import type { Logger } from "pino"
import type { Sql } from "../database/connect.ts"
import { type Authenticate, bearer, signedIn } from "../http/guard.ts"
import { pagesAfter, type StreamedList, streamObject } from "../http/json-stream.ts"
import { noStore } from "../http/response/no-store.ts"
import {
  exported,
  identity,
  type KnownAddress,
  knownAddress,
  type Session,
  session,
} from "./export-model.ts"
import { listIdentities, readKnownAddresses, readSessions } from "./export-queries.ts"
import { findOrCreateAccount } from "./outside-users.ts"
import { listPersonalTokens } from "./personal-access-tokens/queries.ts"
import { personalToken } from "./personal-tokens/model.ts"

type Deps = {
  sql: Sql
  log: Logger
  authenticate: Authenticate
  /** What the other features store about a user. */
  lists: Record<string, StreamedList>
}

const AT_ONCE = 500

/** For lists that are short: one page has all. */
async function* onePage<Item extends object>(read: Promise<readonly Item[]>) {
  yield await read
}

const listsOf = (sql: Sql): Record<string, StreamedList> => ({
  identities: { items: identity, pages: (userId) => onePage(listIdentities(sql, userId)) },
  sessions: {
    items: session,
    pages: (userId) =>
      pagesAfter<Session>(AT_ONCE, (limit, after) => readSessions(sql, userId, limit, after)),
  },
  known_addresses: {
    items: knownAddress,
    pages: (userId) =>
      pagesAfter<KnownAddress>(AT_ONCE, (limit, after) =>
        readKnownAddresses(sql, userId, limit, after),
      ),
  },
  personal_tokens: {
    items: personalToken,
    pages: (userId) => onePage(listPersonalTokens(sql, userId)),
  },
})

export const exportOfAccount = (deps: Deps) => {
  const lists = { ...listsOf(deps.sql), ...deps.lists }
  return new Elysia({ prefix: "/users/me", detail: { tags: ["accounts"], security: bearer } })
    .onTransform(noStore)
    .use(signedIn(deps.authenticate))
    .get(
      "/export",
      async ({ caller }) => {
        const { userId } = caller
        const user = await findOrCreateAccount(deps.sql, userId)
        const pages = Object.entries(lists).map(([name, list]) => [name, list.pages(userId)])
        return streamObject(
          { exported_at: new Date().toISOString(), user },
          Object.fromEntries(pages),
          { "content-disposition": 'attachment; filename="todo-api-export.json"' },
          caller,
          deps.log,
        )
      },
      {
        response: { 200: exported(lists) },
        detail: {
          operationId: "exportMe",
          summary: "Export everything that is stored about the caller",
          description:
            "One document, streamed: the account, its sessions and tokens (without anything that " +
            "gives access), and all todos. Changes that are made meanwhile may be in it or not. If " +
            "the connection ends early, the export has failed.",
        },
      },
    )
}
