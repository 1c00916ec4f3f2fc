/** PUT /users/me/password. */
import type { Static } from "elysia"
import type { Client } from "../http/client-address.ts"
import { authenticated } from "../http/guard.ts"
import { jsonBody } from "../http/json-body.ts"
import { shape, Text } from "../http/schema.ts"
import type { Accounts } from "./context.ts"
import { endAllSessions, findOwnCredentials, replacePassword } from "./credentials.ts"
import { attempt, hashNow, refuseGuessable } from "./passwords.ts"
import { wrongCurrentPassword } from "./problems.ts"
import { uncount } from "./rate-limits.ts"
import { changedKey } from "./revocation-keys.ts"
import { ada, password, tokens } from "./schemas.ts"
import { issueTokens } from "./sessions/issue.ts"
import { insertSession } from "./sessions/queries.ts"

export const passwordChange = (accounts: Accounts) =>
  authenticated(accounts, "/users/me").put(
    "/password",
    ({ caller, body, client }) => changePassword(accounts, caller.userId, body, client),
    {
      ...jsonBody(passwordChangeBody),
      response: { 200: tokens },
      detail: {
        operationId: "changePassword",
        summary: "Change the password",
        errors: ["INVALID_CREDENTIALS", "TOO_MANY_REQUESTS"],
        description:
          "Ends all sessions of the user, including this one, and all tokens without a session. " +
          "Answers with the tokens of a new session. A wrong current password counts as a failed " +
          "login. Users of an outside issuer have no password.",
      },
    },
  )

const changePassword = async (
  accounts: Accounts,
  userId: number,
  { current_password, new_password }: Static<typeof passwordChangeBody>,
  client: Client,
) => {
  const { sql, tokens, lifetimes, logEvent } = accounts
  const account = await findOwnCredentials(sql, userId, client.address)
  refuseGuessable("/new_password", new_password, account.email)
  const refusal = wrongCurrentPassword
  return attempt(
    accounts,
    { account, password: current_password, client, refusal },
    async ({ password_hash }, counts) => {
      const to = await hashNow(new_password)
      const session = await sql.begin(async (transaction) => {
        if (!(await replacePassword(transaction, userId, password_hash, to))) throw refusal()
        await endAllSessions(transaction, userId)
        await uncount(transaction, counts)
        return insertSession(transaction, userId, client, lifetimes)
      })
      tokens.revoke([changedKey(userId)])
      logEvent("password_changed", { userId, address: client.address })
      return issueTokens(accounts, session)
    },
  )
}

const passwordChangeBody = shape(
  "PasswordChange",
  { current_password: Text({ format: "password" }), new_password: password },
  { examples: [{ current_password: ada.password, new_password: "tractor beige lagoon fiddle" }] },
)
