/** POST /auth/login and /auth/logout. */
import { t } from "elysia"
import type { Client } from "../../http/client-address.ts"
import { anonymous, authenticated } from "../../http/guard.ts"
import { jsonBody } from "../../http/json-body.ts"
import type { Accounts } from "../context.ts"
import { findCredentials, lockPassword, rememberAddress } from "../credentials.ts"
import { attempt, failAttempt } from "../passwords.ts"
import { wrongCredentials } from "../problems.ts"
import { uncount } from "../rate-limits.ts"
import { type Credentials, credentials, isEmail, tokens } from "../schemas.ts"
import { endSession, insertSession, revokeToken } from "./queries.ts"

export const logout = (accounts: Accounts) =>
  authenticated(accounts, "/auth").post(
    "/logout",
    async ({ caller: { userId, sessionId, tokenKey, expiresAt }, status }) => {
      const { sql, tokens, lifetimes } = accounts
      const ended = sessionId && (await endSession(sql, userId, sessionId, lifetimes))
      if (!ended) await revokeToken(sql, tokenKey, expiresAt)
      tokens.revoke([ended || tokenKey])
      return status(204, undefined)
    },
    {
      response: { 204: t.Undefined() },
      detail: {
        operationId: "logout",
        summary: "Log out",
        description:
          "Ends the session: its refresh token and its access tokens. If the token belongs to no " +
          "session, because another system issued it, the token itself is refused until it expires.",
      },
    },
  )

export const login = (accounts: Accounts) =>
  anonymous(accounts, "/auth").post(
    "/login",
    ({ body, client }) => logIn(accounts, { ...body, email: body.email.trim() }, client),
    {
      ...jsonBody(credentials),
      response: { 200: tokens },
      detail: {
        operationId: "login",
        summary: "Log in",
        errors: ["INVALID_CREDENTIALS"],
        description:
          "Opens a session. In 15 minutes these failed logins are allowed: 10 of an account from " +
          "an address, 100 from an address (IPv6: 1,000 from a /48), and 100 of an account. After " +
          "that the response is 429, even with the right password. The limits of the address and of " +
          "the account do not apply to addresses from which the account was logged in to during " +
          "the last 30 days. An account may have 60 successful logins in 15 minutes.",
      },
    },
  )

const logIn = async (accounts: Accounts, { email, password }: Credentials, client: Client) => {
  const { sql, limits, lifetimes, sessionTokens, logEvent } = accounts
  const { address } = client
  await limits.admitAddress(address).catch(failAttempt(logEvent, { address }))
  const known = isEmail(email) ? await findCredentials(sql, email, address) : undefined
  const account = known ?? { email }
  return attempt(
    accounts,
    { account, password, client, refusal: wrongCredentials },
    async ({ id: userId, password_hash }, counts) => {
      const session = await sql.begin(async (transaction) => {
        if (!(await lockPassword(transaction, userId, password_hash))) throw wrongCredentials()
        await limits.countLogin(transaction, counts)
        await uncount(transaction, counts)
        await rememberAddress(transaction, userId, address)
        return insertSession(transaction, userId, client, lifetimes)
      })
      logEvent("login_succeeded", { userId, address })
      return sessionTokens.issue(session)
    },
  )
}
