/** PUT /users/me/email: changes the email of the caller's account. */

import { Elysia, type Static, t } from "elysia"
import type { Sql } from "../database/connect.ts"
import { clientAddress } from "../http/client-address.ts"
import { bearer, signedIn } from "../http/guard.ts"
import { jsonBody } from "../http/json-body.ts"
import { noStore } from "../http/response/no-store.ts"
import { Text } from "../http/schema.ts"
import { type Client, clientOf } from "./client.ts"
import { changeEmail } from "./email-change-queries.ts"
import { attemptOwnPassword } from "./passwords.ts"
import { wrongCurrentPassword } from "./problems.ts"
import type { Throttle } from "./rate-limits.ts"
import { ada, email } from "./schemas.ts"
import type { LogEvent } from "./security-log.ts"
import { forgive } from "./throttle/queries.ts"
import type { Tokens } from "./tokens/authenticate.ts"
import { findUser } from "./users.ts"

const body = t.Object(
  { email, password: Text({ format: "password", description: "The current password" }) },
  {
    $id: "EmailChange",
    examples: [{ email: "ada.lovelace@example.org", password: ada.password }],
    additionalProperties: false,
  },
)

type Deps = {
  sql: Sql
  tokens: Tokens
  throttle: Throttle
  trustedProxies: string[]
  logEvent: LogEvent
  /** Whether this service sends mails. */
  hasMail: boolean
}

const change = async (
  deps: Deps,
  userId: number,
  { email, password }: Static<typeof body>,
  client: Client,
) => {
  const { sql, throttle, logEvent, hasMail } = deps
  const attempt = { userId, password, client }
  await attemptOwnPassword(deps, attempt, async (passwordHash, counts) => {
    // The password was right, even if the change fails.
    await forgive(sql, counts)
    const before = hasMail ? await findUser(sql, userId) : undefined
    await throttle.countEmailChange(userId, before?.email ?? null)
    const to = { userId, email: email.trim(), passwordHash, isTold: hasMail }
    if (!(await changeEmail(sql, to))) throw wrongCurrentPassword()
  })
  logEvent("email_changed", { userId, address: client.address })
}

export const emailChange = (deps: Deps) =>
  new Elysia({ prefix: "/users/me", detail: { tags: ["accounts"], security: bearer } })
    .onTransform(noStore)
    .use(signedIn(deps.tokens.authenticate))
    .use(clientAddress(deps.trustedProxies))
    .put(
      "/email",
      async ({ caller, body, address, request, status }) => {
        await change(deps, caller.userId, body, clientOf(request, address))
        return status(204, undefined)
      },
      {
        ...jsonBody(body),
        response: { 204: t.Undefined() },
        detail: {
          operationId: "changeEmail",
          summary: "Change the email",
          errors: ["EMAIL_TAKEN", "INVALID_CREDENTIALS", "TOO_MANY_REQUESTS"],
          description:
            "If the service sends mails, the old address gets one. A wrong password counts as a " +
            "failed login. Users of an outside issuer have no password.",
        },
      },
    )
