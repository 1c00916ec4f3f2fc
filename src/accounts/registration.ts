/** POST /auth/register: for anybody, for the invited, or for nobody. Shapes: ../model.ts. SQL: queries.ts. */

import { Elysia } from "elysia"
import type { Config } from "../config/config.ts"
import type { Sql, Statements } from "../database/connect.ts"
import { jsonBody } from "../http/json-body.ts"
import { noStore } from "../http/response/no-store.ts"
import { unauthenticated } from "../http/unauthenticated.ts"
import { type Client, clientOf } from "./client.ts"
import { unlessEmailTaken } from "./emails.ts"
import { withHashSlot } from "./hash-queue.ts"
import { hashPassword } from "./passwords-hashing.ts"
import { refuseGuessable } from "./passwords-rules.ts"
import { registrationClosed } from "./problems.ts"
import { hashOf } from "./random-token.ts"
import type { Throttle } from "./rate-limits.ts"
import { isInvited, useInvite } from "./registration-queries.ts"
import * as model from "./schemas.ts"
import { insertUser } from "./users.ts"

type Deps = {
  sql: Sql
  throttle: Throttle
  trustedProxies: string[]
  registrationMode: Config["REGISTRATION"]
}

const insert = async (sql: Statements, email: string, passwordHash: string) => {
  for (;;) {
    const user = await unlessEmailTaken(insertUser(sql, email, passwordHash))
    if (user) return user
  }
}

const register = async (
  { sql, throttle, registrationMode }: Deps,
  { email, password, invite = "" }: model.Registration,
  client: Client,
) => {
  if (registrationMode === "closed") throw registrationClosed()
  await refuseGuessable("/password", password, email)
  await throttle.countRegistration(client.address)
  const isOpen = registrationMode === "open"
  const invitation = hashOf(invite)
  // Checked first, because hashing a password is expensive.
  if (!isOpen && !(await isInvited(sql, invitation, email))) throw registrationClosed()
  const passwordHash = await withHashSlot(client, () => hashPassword(password))
  if (isOpen) return insert(sql, email, passwordHash)
  // In one transaction: a taken email uses up no invite, and an invite makes one account.
  return sql.begin(async (transaction) => {
    if (!(await useInvite(transaction, invitation, email))) throw registrationClosed()
    return insert(transaction, email, passwordHash)
  })
}

export const registration = (deps: Deps) =>
  new Elysia({ prefix: "/auth", tags: ["accounts"] })
    .onTransform(noStore)
    .use(unauthenticated(deps.trustedProxies))
    .post(
      "/register",
      async ({ body, address, request, status }) => {
        const registration = { ...body, email: body.email.trim() }
        return status(201, await register(deps, registration, clientOf(request, address)))
      },
      {
        ...jsonBody(model.registration),
        response: { 201: model.user },
        detail: {
          operationId: "register",
          summary: "Register an account",
          errors: ["EMAIL_TAKEN", "REGISTRATION_CLOSED", "TOO_MANY_REQUESTS"],
          description:
            "The number of registrations from one address in an hour is limited. The operator may " +
            "have restricted registration to invited users, or closed it.",
        },
      },
    )
