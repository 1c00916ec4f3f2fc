/** GET and DELETE /users/me/sessions: where the caller is logged in. */
import { type Static, t } from "elysia"
import type { Sql } from "../../database/sql.ts"
import { authenticated } from "../../http/guard.ts"
import { Problem } from "../../http/problem.ts"
import { instant, nullable, shape } from "../../http/schema.ts"
import type { Accounts, Lifetimes } from "../context.ts"
import { isUuid, uuidParams } from "../schemas.ts"
import type { Caller } from "../tokens/authenticate.ts"
import { endSession, isAlive } from "./queries.ts"

export const ownSessions = (accounts: Accounts) => {
  const { sql, tokens, lifetimes, logEvent } = accounts
  return authenticated(accounts, "/users/me/sessions")
    .get("", ({ caller }) => listSessions(sql, caller, lifetimes), {
      response: { 200: t.Array(session, { description: "The latest used first" }) },
      detail: {
        operationId: "listSessions",
        summary: "List the caller's sessions",
        description: "The caller's sessions, the last used ones first, at most 1,000.",
      },
    })
    .delete(
      "/:id",
      async ({ caller: { userId }, params: { id }, client, status }) => {
        const key = isUuid(id) ? await endSession(sql, userId, id, lifetimes) : undefined
        // The same for another user's session, so that nobody learns which ids exist.
        if (key === undefined) throw new Problem("NOT_FOUND", "The caller has no such session")
        tokens.revoke([key])
        logEvent("session_ended", { userId, address: client.address })
        return status(204, undefined)
      },
      {
        params: uuidParams("The session's id"),
        response: { 204: t.Undefined() },
        detail: {
          operationId: "endSession",
          summary: "End a session",
          description: "Ends one of the caller's sessions: its refresh token and access tokens.",
        },
      },
    )
}

/** Nobody would read a longer list. */
const LISTED = 1_000

const listSessions = async (
  sql: Sql,
  { userId, sessionId }: Pick<Caller, "userId" | "sessionId">,
  lifetimes: Lifetimes,
) => {
  const rows = await sql<Static<typeof session>[]>`
    select
      sessions.id,
      sessions.created_at,
      date_trunc('minute', last_used_at) as last_used_at,
      user_agent,
      address,
      coalesce(sessions.id = ${sessionId ?? null}::uuid, false) as is_current
    from sessions
    join users on ${isAlive(sql, lifetimes)}
    where sessions.user_id = ${userId}
    order by sessions.last_used_at desc, sessions.id
    limit ${LISTED}`
  // With the driver's subclass of Array, Elysia would lose the headers of the response.
  return [...rows]
}

const session = shape(
  "Session",
  {
    id: t.String({ format: "uuid" }),
    created_at: instant({ description: "When the user logged in" }),
    last_used_at: instant({ description: "When it was last used, to the minute" }),
    user_agent: nullable(t.String(), {
      description: "The User-Agent of its login or last refresh. Null if none was sent",
    }),
    address: nullable(t.String(), {
      description:
        "From where it was logged in or last refreshed: an IPv4 address, or the first 64 bits " +
        "of an IPv6 address. Null where that was before addresses were kept",
    }),
    is_current: t.Boolean({
      description: "Whether the access token of this request belongs to it",
    }),
  },
  { description: "A session: a login and its refreshes" },
)
