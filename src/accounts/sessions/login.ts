/** /auth: login, refresh and logout. Shapes: ../model.ts. SQL: queries.ts, refresh/, ending/. */

import { randomUUID } from "node:crypto"
import { Elysia, t } from "elysia"
import { bearer, signedIn } from "../../http/guard.ts"
import { jsonBody } from "../../http/json-body.ts"
import { noStore } from "../../http/response/no-store.ts"
import { unauthenticated } from "../../http/unauthenticated.ts"
import { type Client, clientOf } from "../client.ts"
import { attemptPassword } from "../passwords.ts"
import { wrongCredentials } from "../problems.ts"
import { hashAddress, type Throttle } from "../rate-limits.ts"
import * as model from "../schemas.ts"
import { findCredentials } from "../users.ts"
import { endSession } from "./ending/queries.ts"
import { type SessionDeps, tokensOfNewSession } from "./issue.ts"
import { openSession } from "./queries.ts"
import { refreshSession } from "./refresh-refresh.ts"

type Deps = SessionDeps & { throttle: Throttle; trustedProxies: string[] }

const logIn = async (deps: Deps, { email, password }: model.Credentials, client: Client) => {
  const { sql, throttle, lifetimes } = deps
  const { address } = client
  const { found, folded, isKnown } = await findCredentials(sql, email, hashAddress(address))
  const attempt = {
    account: found ?? { email: folded },
    isKnown,
    password,
    hash: found?.password_hash,
    client,
    refusal: wrongCredentials,
  }
  return attemptPassword(deps, attempt, async (passwordHash, counts) => {
    if (!found) throw wrongCredentials()
    const userId = found.id
    const id = randomUUID()
    const login = { id, userId, passwordHash, counts, client, lifetimes }
    const { is_open, seconds_left } = await openSession(sql, login)
    if (seconds_left !== null) throw throttle.tooManyLogins(counts, seconds_left)
    if (!is_open) throw wrongCredentials()
    deps.logEvent("login_succeeded", { userId, address })
    return tokensOfNewSession(deps, id, userId)
  })
}

const logout = ({ sql, tokens }: Deps) =>
  new Elysia({ detail: { security: bearer } }).use(signedIn(tokens.authenticate)).post(
    "/logout",
    async ({ caller, status }) => {
      const revoked = await endSession(sql, caller)
      tokens.revoke([caller.tokenKey, ...revoked.map(({ key }) => key)])
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

export const auth = (deps: Deps) =>
  new Elysia({ prefix: "/auth", tags: ["accounts"] })
    .onTransform(noStore)
    .use(logout(deps))
    .use(unauthenticated(deps.trustedProxies))
    .post(
      "/login",
      ({ body, address, request }) =>
        logIn(deps, { ...body, email: body.email.trim() }, clientOf(request, address)),
      {
        ...jsonBody(model.credentials),
        response: { 200: model.tokens },
        detail: {
          operationId: "login",
          summary: "Log in",
          errors: ["INVALID_CREDENTIALS", "TOO_MANY_REQUESTS"],
          description:
            "Opens a session. In 15 minutes these failed logins are allowed: 10 of an account from " +
            "an address, 100 from an address (IPv6: 1,000 from a /48), and 100 of an account. After " +
            "that the answer is 429, even with the right password. The limits of the address and of " +
            "the account do not apply to addresses from which the account was logged in to during " +
            "the last 30 days. An account may have 60 successful logins in 15 minutes.",
        },
      },
    )
    .post(
      "/refresh",
      ({ body, address, request }) =>
        refreshSession(deps, body.refresh_token, clientOf(request, address)),
      {
        ...jsonBody(model.refreshToken),
        response: { 200: model.tokens },
        detail: {
          operationId: "refresh",
          summary: "Get new tokens for a refresh token",
          errors: ["UNAUTHORIZED"],
          description:
            "A refresh token can be used once. If the answer is lost, the same request may be " +
            "repeated within 10 seconds: it gives the same new refresh token again, unless that has " +
            "been used. Any other reuse of a token ends the whole session.",
        },
      },
    )
