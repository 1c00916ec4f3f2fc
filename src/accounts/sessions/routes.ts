/** /auth: registering, and sessions from login to logout. Shapes: model.ts. */
import { Elysia, t } from "elysia"
import type { Sql } from "../../database/connection.ts"
import { constraintOf } from "../../database/errors.ts"
import { clientAddress } from "../../http/client-address.ts"
import { takesJson } from "../../http/json-body.ts"
import { noQuery, strictQuery } from "../../http/query.ts"
import { bearer, signedIn } from "../../http/signed-in.ts"
import * as model from "../model.ts"
import { refuseGuessable } from "../new-passwords/rules.ts"
import { hashPassword, inTurn, verifyPassword } from "../passwords.ts"
import { emailTaken, wrongCredentials } from "../problems.ts"
import { findCredentials, insertUser } from "../queries.ts"
import type { Throttle } from "../throttle/throttle.ts"
import { endSession } from "./queries.ts"
import { openSession, refreshSession, type SessionDeps } from "./sessions.ts"

type Deps = SessionDeps & { throttle: Throttle; trustedProxies: string[] }

const register = async ({ sql }: { sql: Sql }, email: string, passwordHash: string) => {
  for (;;) {
    const user = await insertUser(sql, email, passwordHash).catch((error: unknown) => {
      throw constraintOf(error) === "users_email_key" ? emailTaken() : error
    })
    if (user) return user
  }
}

const logIn = async (deps: Deps, { email, password }: model.Credentials, address: string) => {
  const { sql, throttle } = deps
  const found = await findCredentials(sql, email)
  const guess = throttle.guess(found?.id ?? email.toLowerCase(), address)
  return inTurn(async () => {
    await throttle.countGuess(guess)
    const isRight = await verifyPassword(password, found?.password_hash)
    if (!found || !isRight) throw wrongCredentials()
    return openSession(deps, found, guess)
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
          "Ends the session: its refresh token and its access tokens. A token that is of no " +
          "session (another system's) is itself refused until it expires.",
      },
    },
  )

export const auth = (deps: Deps) =>
  new Elysia({ prefix: "/auth", tags: ["accounts"] })
    .onTransform(({ set }) => {
      set.headers["cache-control"] = "no-store"
    })
    .use(logout(deps))
    .use(clientAddress(deps.trustedProxies))
    .onTransform(strictQuery)
    .guard({ query: noQuery })
    .post(
      "/register",
      async ({ body, address, status }) => {
        await refuseGuessable("/password", body.password, body.email)
        await deps.throttle.countRegistration(address)
        const passwordHash = await inTurn(() => hashPassword(body.password))
        return status(201, await register(deps, body.email.trim(), passwordHash))
      },
      {
        ...takesJson(model.registration),
        response: { 201: model.user },
        detail: {
          operationId: "register",
          summary: "Register an account",
          errors: ["EMAIL_TAKEN", "TOO_MANY_REQUESTS"],
          description: "The number of registrations from one address in an hour is limited.",
        },
      },
    )
    .post(
      "/login",
      ({ body, address }) => logIn(deps, { ...body, email: body.email.trim() }, address),
      {
        ...takesJson(model.credentials),
        response: { 200: model.tokens },
        detail: {
          operationId: "login",
          summary: "Log in",
          errors: ["INVALID_CREDENTIALS", "TOO_MANY_REQUESTS"],
          description:
            "Opens a session. After 10 failed logins of an account from an address, or 100 from " +
            "an address, in 15 minutes it answers 429, to the right password too.",
        },
      },
    )
    .post("/refresh", ({ body }) => refreshSession(deps, body.refresh_token), {
      ...takesJson(model.refreshToken),
      response: { 200: model.tokens },
      detail: {
        operationId: "refresh",
        summary: "Get new tokens for a refresh token",
        errors: ["UNAUTHORIZED"],
        description:
          "A refresh token is good once. If the answer got lost, the same request may be repeated " +
          "within 10 seconds; using it again later ends the whole session.",
      },
    })
