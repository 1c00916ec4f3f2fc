/** /users/me/tokens: personal access tokens, for scripts. */
import { t } from "elysia"
import { constraintOf } from "../../database/errors.ts"
import { authenticated } from "../../http/guard.ts"
import { jsonBody } from "../../http/json-body.ts"
import { badRequest, Problem } from "../../http/problem.ts"
import type { Accounts } from "../context.ts"
import { deletedUser } from "../problems.ts"
import { hashOf } from "../random-token.ts"
import { isUuid, uuidParams } from "../schemas.ts"
import { randomPersonalToken } from "../tokens/personal-access-token.ts"
import { createFederatedUser } from "../users.ts"
import {
  deletePersonalTokens,
  insertPersonalToken,
  listPersonalTokens,
  lockUser,
} from "./queries.ts"
import {
  createdPersonalToken,
  type NewPersonalToken,
  newPersonalToken,
  personalToken,
} from "./schemas.ts"

const TOKENS_PER_USER = 50

type Deps = Pick<Accounts, "sql" | "tokens" | "trustedProxies" | "logEvent">

export const personalAccessTokens = (deps: Deps) =>
  authenticated(deps, "/users/me/tokens")
    .post(
      "",
      async ({ caller: { userId }, body, client, status }) => {
        const created = await create(deps, userId, body)
        deps.logEvent("personal_token_made", { userId, address: client.address })
        return status(201, created)
      },
      {
        ...jsonBody(newPersonalToken),
        response: { 201: createdPersonalToken },
        detail: {
          operationId: "createPersonalToken",
          summary: "Create a personal access token",
          errors: ["QUOTA_EXCEEDED"],
          description:
            "A bearer token for scripts. It works only for /todos, within its scopes, and is shown " +
            `only in this answer. A user has at most ${TOKENS_PER_USER}.`,
        },
      },
    )
    .get("", ({ caller }) => listPersonalTokens(deps.sql, caller.userId), {
      response: { 200: t.Array(personalToken) },
      detail: {
        operationId: "listPersonalTokens",
        summary: "List the caller's personal access tokens",
        description: "The tokens that have not expired, the oldest first.",
      },
    })
    .delete(
      "/:id",
      async ({ caller: { userId }, params, client, status }) => {
        if (!isUuid(params.id)) throw noSuchToken()
        const revoked = await deletePersonalTokens(deps.sql, userId, params.id)
        if (revoked.length === 0) throw noSuchToken()
        deps.tokens.revoke(revoked.map(({ key }) => key))
        deps.logEvent("personal_token_revoked", { userId, address: client.address })
        return status(204, undefined)
      },
      {
        params: uuidParams("The id of a personal access token"),
        response: { 204: t.Undefined() },
        detail: {
          operationId: "deletePersonalToken",
          summary: "Revoke a personal access token",
          description: "This instance refuses the token at once, all others within 5 seconds.",
        },
      },
    )

const tooMany = () =>
  new Problem("QUOTA_EXCEEDED", `A user has at most ${TOKENS_PER_USER} personal access tokens`)

const noSuchToken = () => new Problem("NOT_FOUND", "There is no such personal access token")

/** Checks the day, too: `Date` takes 30 February for 2 March. */
const isTime = (text: string) => {
  const time = new Date(text)
  const day = new Date(`${text.slice(0, 10)}T00:00:00Z`)
  return (
    Number.isFinite(time.getTime()) &&
    Number.isFinite(day.getTime()) &&
    day.toISOString().startsWith(text.slice(0, 10))
  )
}

/** In the form that Postgres reads. */
const readExpiry = (text: string | null | undefined) => {
  if (text === null || text === undefined) return null
  const wrong = (message: string) => badRequest([{ pointer: "/expires_at", message }])
  if (!isTime(text.toUpperCase())) throw wrong("must be a time that exists")
  const time = new Date(text.toUpperCase())
  if (time.getTime() <= Date.now()) throw wrong("must be in the future")
  // Its time zone may move a time to the year 10000, which RFC 3339 cannot write.
  if (time.getUTCFullYear() > 9_999) throw wrong("must be before the year 10000")
  return time.toISOString()
}

const create = async ({ sql }: Deps, userId: number, wanted: NewPersonalToken) => {
  const expires_at = readExpiry(wanted.expires_at)
  await createFederatedUser(sql, userId)
  const token = randomPersonalToken()
  const stored = { ...wanted, expires_at, hash: hashOf(token) }
  const insert = sql.begin(async (transaction) => {
    await lockUser(transaction, userId)
    return insertPersonalToken(transaction, userId, stored, TOKENS_PER_USER)
  })
  const created = await insert.catch((error: unknown) => {
    // The user was deleted at this very moment.
    throw constraintOf(error) === "personal_tokens_user_id_fkey" ? deletedUser() : error
  })
  if (!created) throw tooMany()
  return { ...created, token }
}
