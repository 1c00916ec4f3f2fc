/** /auth: registering, and sessions from login to logout. Shapes: model.ts. */
import { randomUUID } from "node:crypto"
import { Elysia, t } from "elysia"
import type { Sql } from "../../database/connection.ts"
import { constraintOf } from "../../database/errors.ts"
import { clientAddress } from "../../http/client-address.ts"
import { takesJson } from "../../http/json-body.ts"
import { noQuery, strictQuery } from "../../http/query.ts"
import { bearer, signedIn } from "../../http/signed-in.ts"
import { inTurn } from "../hash-queue.ts"
import * as model from "../model.ts"
import { refuseGuessable } from "../new-passwords/rules.ts"
import { guessPassword } from "../password-guess.ts"
import { hashPassword } from "../passwords.ts"
import { emailTaken, wrongCredentials } from "../problems.ts"
import { findCredentials, insertUser } from "../queries.ts"
import { hashAddress, type Throttle } from "../throttle/throttle.ts"
import { endSession } from "./ending/queries.ts"
import { type Client, clientOf } from "./model.ts"
import { openSession } from "./queries.ts"
import { refreshSession } from "./refresh/refresh.ts"
import { firstAnswer, type SessionDeps } from "./sessions.ts"

type Deps = SessionDeps & { throttle: Throttle; trustedProxies: string[] }

/** Two as long as the first rule by which emails were compared has its index. */
const EMAIL_KEYS = ["users_email_key", "users_email_folded_key"]

const register = async ({ sql }: { sql: Sql }, email: string, passwordHash: string) => {
  for (;;) {
    const user = await insertUser(sql, email, passwordHash).catch((error: unknown) => {
      throw EMAIL_KEYS.includes(constraintOf(error) ?? "") ? emailTaken() : error
    })
    if (user) return user
  }
}

const logIn = async (deps: Deps, { email, password }: model.Credentials, client: Client) => {
  const { sql, throttle, lifetimes } = deps
  const { address } = client
  const { found, folded, isKnown } = await findCredentials(sql, email, hashAddress(address))
  const attempt = {
    account: found ? { id: found.id } : { email: folded },
    isKnown,
    password,
    hash: found?.password_hash,
    client,
    refusal: wrongCredentials,
  }
  return guessPassword(deps, attempt, async (passwordHash, guess) => {
    if (!found) throw wrongCredentials()
    const userId = found.id
    const id = randomUUID()
    const login = { id, userId, passwordHash, guess, client, lifetimes }
    const { is_open, seconds_left } = await openSession(sql, login)
    if (seconds_left !== null) throw throttle.tooManyLogins(guess, seconds_left)
    if (!is_open) throw wrongCredentials()
    deps.logEvent("login_succeeded", { userId, address })
    return firstAnswer(deps, id, userId)
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
      async ({ body, address, request, status }) => {
        await refuseGuessable("/password", body.password, body.email)
        await deps.throttle.countRegistration(address)
        const client = clientOf(request, address)
        const passwordHash = await inTurn(client, () => hashPassword(body.password))
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
      ({ body, address, request }) =>
        logIn(deps, { ...body, email: body.email.trim() }, clientOf(request, address)),
      {
        ...takesJson(model.credentials),
        response: { 200: model.tokens },
        detail: {
          operationId: "login",
          summary: "Log in",
          errors: ["INVALID_CREDENTIALS", "TOO_MANY_REQUESTS"],
          description:
            "Opens a session. In 15 minutes 10 failed logins of an account from an address, 100 " +
            "from an address (IPv6: 1,000 from a /48) and 100 of an account are the last: then it " +
            "answers 429, to the right password too. The limits of the address and of the account " +
            "do not hold where the account was logged in to during the last 30 days. 60 " +
            "successful logins of an account are the last, too.",
        },
      },
    )
    .post(
      "/refresh",
      ({ body, address, request }) =>
        refreshSession(deps, body.refresh_token, clientOf(request, address)),
      {
        ...takesJson(model.refreshToken),
        response: { 200: model.tokens },
        detail: {
          operationId: "refresh",
          summary: "Get new tokens for a refresh token",
          errors: ["UNAUTHORIZED"],
          description:
            "A refresh token is good once. If the answer got lost, the same request may be " +
            "repeated within 10 seconds: it gives the same refresh token again, as long as that " +
            "has not been used. Using a token again otherwise ends the whole session.",
        },
      },
    )
