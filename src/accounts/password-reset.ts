/** /auth/password-reset: sets a new password without the old one. Shapes: model.ts. SQL: queries.ts. */

import { Elysia, t } from "elysia"
import type { Sql } from "../database/connect.ts"
import { jsonBody } from "../http/json-body.ts"
import { noStore } from "../http/response/no-store.ts"
import { unauthenticated } from "../http/unauthenticated.ts"
import { type Client, clientOf } from "./client.ts"
import { withHashSlot } from "./hash-queue.ts"
import { enqueueMail } from "./mail.ts"
import * as model from "./password-resets/model.ts"
import { findResettable, usePasswordReset } from "./password-resets/queries.ts"
import { hashPassword } from "./passwords-hashing.ts"
import { refuseGuessable } from "./passwords-rules.ts"
import { deletePersonalTokens } from "./personal-access-tokens/queries.ts"
import { noMail, wrongResetToken } from "./problems.ts"
import { hashOf } from "./random-token.ts"
import type { Throttle } from "./rate-limits.ts"
import { isEmail } from "./schemas.ts"
import type { LogEvent } from "./security-log.ts"
import { endAllSessions } from "./sessions/ending/queries.ts"
import type { Tokens } from "./tokens/authenticate.ts"

type Deps = {
  sql: Sql
  tokens: Tokens
  throttle: Throttle
  trustedProxies: string[]
  logEvent: LogEvent
  /** Whether this service sends mails. */
  hasMail: boolean
}

/** Failed logins are counted for each password, so the new one starts with none: throttle.ts. */
const reset = async (
  { sql, tokens, logEvent }: Deps,
  { token, new_password }: model.PasswordReset,
  client: Client,
) => {
  const hash = hashOf(token)
  // Checked first, because hashing a password is expensive.
  const email = await findResettable(sql, hash)
  if (email === undefined) throw wrongResetToken()
  await refuseGuessable("/new_password", new_password, email)
  const passwordHash = await withHashSlot(client, () => hashPassword(new_password))
  const { userId, ended } = await sql.begin(async (transaction) => {
    const userId = await usePasswordReset(transaction, hash, passwordHash)
    if (userId === undefined) throw wrongResetToken()
    const sessions = await endAllSessions(transaction, userId)
    const tokens = await deletePersonalTokens(transaction, userId)
    return { userId, ended: [...sessions, ...tokens.map(({ key }) => key)] }
  })
  tokens.revoke(ended)
  logEvent("password_reset", { userId, address: client.address })
}

export const passwordResets = (deps: Deps) =>
  new Elysia({ prefix: "/auth/password-reset", tags: ["accounts"] })
    .onTransform(noStore)
    .use(unauthenticated(deps.trustedProxies))
    .post(
      "",
      async ({ body, address, request, status }) => {
        await reset(deps, body, clientOf(request, address))
        return status(204, undefined)
      },
      {
        ...jsonBody(model.passwordReset),
        response: { 204: t.Undefined() },
        detail: {
          operationId: "resetPassword",
          summary: "Set a new password with a token",
          errors: ["INVALID_CREDENTIALS"],
          description:
            "Without the old password. Ends all sessions and personal access tokens of the user, and " +
            "forgets failed logins. A token can be used once, within an hour, and only until a newer " +
            "one is made.",
        },
      },
    )
    .post(
      "/request",
      async ({ body, address, set }) => {
        if (!deps.hasMail) throw noMail()
        const email = body.email.trim()
        if (isEmail(email)) {
          await deps.throttle.countResetRequest(email, address)
          await enqueueMail(deps.sql, "password_reset", email)
        }
        deps.logEvent("password_reset_requested", { address })
        // status(202) would send the body "Accepted".
        set.status = 202
      },
      {
        ...jsonBody(model.resetRequest),
        response: { 202: t.Undefined() },
        detail: {
          operationId: "requestPasswordReset",
          summary: "Request a reset token by mail",
          errors: ["TOO_MANY_REQUESTS", "NOT_FOUND"],
          description:
            "The answer is the same whether somebody has the email or not. The number of requests " +
            "for an email and from an address is limited. A service that sends no mails answers " +
            "404: there the operator makes the tokens.",
        },
      },
    )
