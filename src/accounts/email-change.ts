/** PUT /users/me/email. */
import { type Static, t } from "elysia"
import type { Statements } from "../database/sql.ts"
import type { Client } from "../http/client-address.ts"
import { authenticated } from "../http/guard.ts"
import { jsonBody } from "../http/json-body.ts"
import { shape, Text } from "../http/schema.ts"
import type { Accounts } from "./context.ts"
import { findOwnCredentials } from "./credentials.ts"
import { enqueueMail } from "./mail.ts"
import { attempt } from "./passwords.ts"
import { wrongCurrentPassword } from "./problems.ts"
import { uncount } from "./rate-limits.ts"
import { ada, email } from "./schemas.ts"
import { folded, unlessEmailTaken } from "./users.ts"

export const emailChange = (accounts: Accounts) =>
  authenticated(accounts, "/users/me").put(
    "/email",
    async ({ caller, body, client, status }) => {
      await changeEmail(accounts, caller.userId, { ...body, email: body.email.trim() }, client)
      return status(204, undefined)
    },
    {
      ...jsonBody(emailChangeBody),
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

const changeEmail = async (
  accounts: Accounts,
  userId: number,
  { email, password }: Static<typeof emailChangeBody>,
  client: Client,
) => {
  const { sql, limits, logEvent, hasMail } = accounts
  const account = await findOwnCredentials(sql, userId, client.address)
  const refusal = wrongCurrentPassword
  await attempt(accounts, { account, password, client, refusal }, async (user, counts) => {
    // The password was right, even if the change fails.
    await uncount(sql, counts)
    await limits.countEmailChange(userId, hasMail ? user.email : null)
    await sql.begin(async (transaction) => {
      const before = await replaceEmail(transaction, userId, user.password_hash, email)
      if (!before) throw refusal()
      if (hasMail && before.is_other) await enqueueMail(transaction, "email_changed", before.email)
    })
  })
  logEvent("email_changed", { userId, address: client.address })
}

/**
 * Returns the email of before. Undefined if the password was changed in the meantime. Ends a reset under way, too:
 * its mail went to the old address.
 */
const replaceEmail = async (
  transaction: Statements,
  userId: number,
  hash: string,
  email: string,
) => {
  const old = transaction`email`
  const update = transaction<{ email: string; is_other: boolean }[]>`
    with before as (
      select email, ${folded(transaction, old)} <> ${folded(transaction, email)} as is_other
      from users
      where id = ${userId}
        and password_hash = ${hash}
      for update
    ), reset as (
      delete from password_resets
      where user_id = ${userId}
    )
    update users
    set email = ${email}
    from before
    where id = ${userId}
    returning before.email, is_other`
  const [before] = await unlessEmailTaken(update)
  return before
}

const emailChangeBody = shape(
  "EmailChange",
  { email, password: Text({ format: "password", description: "The current password" }) },
  { examples: [{ email: "ada.lovelace@example.org", password: ada.password }] },
)
