/** PUT /users/me/password and /users/me/email: what the caller logs in with. */
import { type Static, t } from "elysia"
import type { Sql } from "../database/sql.ts"
import type { Client } from "../http/client-address.ts"
import { authenticated } from "../http/guard.ts"
import { jsonBody } from "../http/json-body.ts"
import { shape, Text } from "../http/schema.ts"
import type { Accounts } from "./context.ts"
import { type Credentials, endAllSessions, findCredentials } from "./credentials.ts"
import { enqueueMail } from "./mail.ts"
import { attempt, hashNow, refuseGuessable } from "./passwords.ts"
import { wrongCurrentPassword as refusal } from "./problems.ts"
import { uncount } from "./rate-limits.ts"
import { changedKey } from "./revocation-keys.ts"
import { ada, email, password, tokens } from "./schemas.ts"
import { insertSession } from "./sessions/queries.ts"
import { folded, unlessEmailTaken } from "./users.ts"

export const ownCredentials = (accounts: Accounts) =>
  authenticated(accounts, "/users/me")
    .put(
      "/password",
      ({ caller, body, client }) => changePassword(accounts, caller.userId, body, client),
      {
        ...jsonBody(passwordChangeBody),
        response: { 200: tokens },
        detail: {
          operationId: "changePassword",
          summary: "Change the password",
          errors: ["INVALID_CREDENTIALS"],
          description:
            "Ends all sessions of the user, including this one, and all tokens without a session. " +
            "Answers with the tokens of a new session. A wrong current password counts as a failed " +
            "login. Users of an outside issuer have no password.",
        },
      },
    )
    .put(
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
          errors: ["EMAIL_TAKEN", "INVALID_CREDENTIALS"],
          description:
            "If the service sends mails, the old address gets one. A wrong password counts as a " +
            "failed login. Users of an outside issuer have no password.",
        },
      },
    )

const changePassword = async (
  accounts: Accounts,
  userId: number,
  { current_password, new_password }: Static<typeof passwordChangeBody>,
  client: Client,
) => {
  const { sql, tokens, sessionTokens, lifetimes, logEvent } = accounts
  const account = await findOwn(sql, userId, client)
  refuseGuessable("/new_password", new_password, account.email)
  const given = { account, password: current_password, client, refusal }
  return attempt(accounts, given, async ({ password_hash }, counts) => {
    const to = await hashNow(new_password)
    const session = await sql.begin(async (transaction) => {
      const { count } = await transaction`
        update users
        set password_hash = ${to}
        where id = ${userId}
          and password_hash = ${password_hash}`
      // The password has been changed in the meantime.
      if (count === 0) throw refusal()
      await endAllSessions(transaction, userId)
      await uncount(transaction, counts)
      return insertSession(transaction, userId, client, lifetimes)
    })
    tokens.revoke([changedKey(userId)])
    logEvent("password_changed", { userId, address: client.address })
    return sessionTokens.issue(session)
  })
}

const changeEmail = async (
  accounts: Accounts,
  userId: number,
  { email, password }: Static<typeof emailChangeBody>,
  client: Client,
) => {
  const { sql, limits, logEvent, hasMail } = accounts
  const given = { account: await findOwn(sql, userId, client), password, client, refusal }
  await attempt(accounts, given, async (user, counts) => {
    // The password was right, even if the change fails.
    await uncount(sql, counts)
    await limits.countEmailChange(userId, hasMail ? user.email : null)
    await sql.begin(async (transaction) => {
      // Ends a reset under way, too: its mail went to the old address.
      const update = transaction<{ email: string; is_other: boolean }[]>`
        with before as (
          select email, ${folded(sql, sql`email`)} <> ${folded(sql, email)} as is_other
          from users
          where id = ${userId}
            and password_hash = ${user.password_hash}
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
      // The password has been changed in the meantime.
      if (!before) throw refusal()
      if (hasMail && before.is_other) await enqueueMail(transaction, "email_changed", before.email)
    })
  })
  logEvent("email_changed", { userId, address: client.address })
}

/** A federated user may have no row yet. */
const findOwn = async (sql: Sql, id: number, { address }: Client): Promise<Credentials> =>
  (await findCredentials(sql, id, address)) ?? {
    id,
    email: null,
    password_hash: null,
    is_known: false,
  }

const passwordChangeBody = shape(
  "PasswordChange",
  { current_password: Text({ format: "password" }), new_password: password },
  { examples: [{ current_password: ada.password, new_password: "tractor beige lagoon fiddle" }] },
)

const emailChangeBody = shape(
  "EmailChange",
  { email, password: Text({ format: "password", description: "The current password" }) },
  { examples: [{ email: "ada.lovelace@example.org", password: ada.password }] },
)
