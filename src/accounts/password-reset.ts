/** POST /auth/password-reset and /auth/password-reset/request: a new password without the old one. */
import { type Static, t } from "elysia"
import type { Statements } from "../database/sql.ts"
import type { Client } from "../http/client-address.ts"
import { anonymous } from "../http/guard.ts"
import { jsonBody } from "../http/json-body.ts"
import { Problem } from "../http/problem.ts"
import { shape, Text } from "../http/schema.ts"
import type { Accounts } from "./context.ts"
import { endAllSessions } from "./credentials.ts"
import { enqueueMail } from "./mail.ts"
import { hashPassword, refuseGuessable } from "./passwords.ts"
import { deletePersonalTokens } from "./personal-access-tokens.ts"
import { wrongResetToken } from "./problems.ts"
import { hashOf, isToken, newToken } from "./random-token.ts"
import { changedKey } from "./revocation-keys.ts"
import { isEmail, password } from "./schemas.ts"
import { isUser } from "./users.ts"

export const passwordReset = (accounts: Accounts) =>
  anonymous(accounts, "/auth/password-reset")
    .post(
      "",
      async ({ body, client, status }) => {
        await resetPassword(accounts, body, client)
        return status(204, undefined)
      },
      {
        ...jsonBody(passwordResetBody),
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
      async ({ body, client, set }) => {
        await requestReset(accounts, body.email.trim(), client)
        // status(202) would send the body "Accepted".
        set.status = 202
      },
      {
        ...jsonBody(resetRequestBody),
        response: { 202: t.Undefined() },
        detail: {
          operationId: "requestPasswordReset",
          summary: "Request a reset token by mail",
          errors: ["NOT_FOUND"],
          description:
            "The response is the same whether somebody has the email or not. The number of requests " +
            "for an email and from an address is limited. A service that sends no mails answers " +
            "404: there the operator makes the tokens.",
        },
      },
    )

/** Failed logins are counted for each password, so that the new one starts with none: rate-limits.ts. */
const resetPassword = async (
  accounts: Accounts,
  { token, new_password }: Static<typeof passwordResetBody>,
  client: Client,
) => {
  const { sql, tokens, logEvent } = accounts
  const hash = hashOf(token)
  // Checked first, because hashing a password is expensive.
  const [user] = isToken(token)
    ? await sql.pipelined<{ id: number; email: string }[]>`
        select id, email
        from password_resets
        join users on users.id = user_id
        where hash = ${hash}
          and expires_at > now()`
    : []
  if (!user) throw wrongResetToken()
  const userId = user.id
  refuseGuessable("/new_password", new_password, user.email)
  const passwordHash = await hashPassword(accounts, new_password, client)
  const revoked = await sql.begin(async (transaction) => {
    // Locks the user's row first, as everything does that changes an account: so there are no deadlocks.
    const { count } = await transaction`
      with changed as (
        update users
        set password_hash = ${passwordHash}
        where id = ${userId}
          and disabled_at is null
        returning id
      )
      delete from password_resets
      using changed
      where user_id = changed.id
        and hash = ${hash}
        and expires_at > now()`
    if (count === 0) throw wrongResetToken()
    await endAllSessions(transaction, userId)
    return deletePersonalTokens(transaction, userId)
  })
  tokens.revoke([changedKey(userId), ...revoked.map(({ key }) => key)])
  logEvent("password_reset", { userId, address: client.address })
}

const requestReset = async (
  { sql, limits, logEvent, hasMail }: Accounts,
  email: string,
  { address }: Client,
) => {
  if (!hasMail)
    throw new Problem("NOT_FOUND", "This service sends no mails: its operator makes the tokens")
  if (isEmail(email)) {
    await limits.countResetRequest(email, address)
    await enqueueMail(sql, "password_reset", email)
  }
  logEvent("password_reset_requested", { address })
}

const MINUTES = 60

/**
 * For the user of an id or an email. Replaces an older one. Undefined for a user who is deleted or disabled, and
 * for a federated one, who has no password.
 */
export const createPasswordReset = async (sql: Statements, user: number | string) => {
  const { token, hash } = newToken()
  const [row] = await sql<{ email: string; expires_at: string }[]>`
    insert into password_resets (user_id, hash, expires_at)
    select id, ${hash}, now() + make_interval(mins => ${MINUTES})
    from users
    where ${isUser(sql, user)}
      and password_hash is not null
      and disabled_at is null
    on conflict on constraint password_resets_pkey do update
    set hash = excluded.hash,
      expires_at = excluded.expires_at
    returning expires_at, (select email from users where id = user_id) as email`
  return row && { token, ...row }
}

const passwordResetBody = shape(
  "PasswordReset",
  {
    token: Text({
      description: "From the mail or from the operator. Can be used once, within an hour.",
    }),
    new_password: password,
  },
  {
    examples: [
      {
        token: "7HxgMLz_z4B0VW50ZcHlsnGeOBMTQRJbfwPPKPEC-FI",
        new_password: "tractor beige lagoon fiddle",
      },
    ],
  },
)

/** As loose as a login: an email that nobody could have registered has no account. */
const resetRequestBody = shape(
  "PasswordResetRequest",
  { email: Text() },
  { examples: [{ email: "ada@example.org" }] },
)
