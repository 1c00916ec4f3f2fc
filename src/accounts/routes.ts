/** /auth and /users/me: accounts, logins, and who the caller is. Shapes: model.ts. SQL: queries.ts. */
import { Elysia } from "elysia"
import type { Deps } from "../app.ts"
import { constraintOf } from "../database/errors.ts"
import { Problem } from "../errors.ts"
import { jsonBody } from "../http/json-body.ts"
import { noQuery, strictQuery } from "../http/query.ts"
import { bearer, signedIn } from "../http/signed-in.ts"
import * as model from "./model.ts"
import { hashPassword, verifyPassword } from "./passwords.ts"
import { findCredentials, findUser, insertOutsideUser, insertUser } from "./queries.ts"
import { openSession } from "./sessions.ts"
import { invalidToken } from "./tokens.ts"

const emailTaken = () => new Problem("EMAIL_TAKEN", "This email is registered already")
const wrongCredentials = () =>
  new Problem("INVALID_CREDENTIALS", "Email or password is wrong", {
    headers: { "www-authenticate": "Bearer" },
  })

export const auth = ({ sql, config, tokens }: Deps) =>
  new Elysia({ prefix: "/auth", tags: ["accounts"] })
    .onTransform(strictQuery)
    .onTransform(({ set }) => {
      set.headers["cache-control"] = "no-store"
    })
    .guard({ query: noQuery })
    .post(
      "/register",
      async ({ body, status }) => {
        const passwordHash = await hashPassword(body.password)
        for (;;) {
          const user = await insertUser(sql, body.email.trim(), passwordHash).catch(
            (error: unknown) => {
              throw constraintOf(error) === "users_email_key" ? emailTaken() : error
            },
          )
          if (user) return status(201, user)
        }
      },
      {
        ...jsonBody,
        body: model.registration,
        response: { 201: model.user },
        detail: {
          operationId: "register",
          summary: "Register an account",
          refuses: ["EMAIL_TAKEN"],
        },
      },
    )
    .post(
      "/login",
      async ({ body }) => {
        const found = await findCredentials(sql, body.email.trim())
        const isRight = await verifyPassword(body.password, found?.password_hash)
        if (!found || !isRight) throw wrongCredentials()
        return openSession(sql, config, tokens, found.id)
      },
      {
        ...jsonBody,
        body: model.credentials,
        response: { 200: model.tokens },
        detail: { operationId: "login", summary: "Log in", refuses: ["INVALID_CREDENTIALS"] },
      },
    )

export const me = ({ sql, tokens }: Deps) =>
  new Elysia({ prefix: "/users/me", detail: { tags: ["accounts"], security: bearer } })
    .use(signedIn(tokens))
    .get(
      "",
      async ({ caller, set }) => {
        set.headers["cache-control"] = "no-store"
        const user = await findUser(sql, caller.userId)
        if (user) return user
        await insertOutsideUser(sql, caller.userId)
        const created = await findUser(sql, caller.userId)
        if (!created) throw invalidToken("The user is gone")
        return created
      },
      {
        response: { 200: model.user },
        detail: { operationId: "getMe", summary: "Get the caller's account" },
      },
    )
