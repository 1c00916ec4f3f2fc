/** PUT /users/me/password: changes the caller's password. Shapes: model.ts. SQL: queries.ts. */
import { randomUUID } from "node:crypto"
import { Elysia } from "elysia"
import { clientAddress } from "../http/client-address.ts"
import { bearer, signedIn } from "../http/guard.ts"
import { jsonBody } from "../http/json-body.ts"
import { noStore } from "../http/response/no-store.ts"
import { type Client, clientOf } from "./client.ts"
import { type PasswordChange, passwordChange } from "./password-change-model.ts"
import { changePassword } from "./password-change-queries.ts"
import { attemptOwnPassword } from "./passwords.ts"
import { hashPassword } from "./passwords-hashing.ts"
import { refuseGuessable } from "./passwords-rules.ts"
import { wrongCurrentPassword } from "./problems.ts"
import type { Throttle } from "./rate-limits.ts"
import { tokens } from "./schemas.ts"
import { type SessionDeps, tokensOfNewSession } from "./sessions/issue.ts"
import { findUser } from "./users.ts"

type Deps = SessionDeps & { throttle: Throttle; trustedProxies: string[] }

/** Returns the tokens of a new session. All others end. */
const change = async (
  deps: Deps,
  userId: number,
  { current_password, new_password }: PasswordChange,
  client: Client,
) => {
  const { sql, tokens, lifetimes, logEvent } = deps
  const user = await findUser(sql, userId)
  await refuseGuessable("/new_password", new_password, user?.email ?? null)
  const attempt = { userId, password: current_password, client }
  return attemptOwnPassword(deps, attempt, async (from, counts) => {
    const to = await hashPassword(new_password)
    const id = randomUUID()
    const ended = await changePassword(sql, { id, userId, from, to, counts, client, lifetimes })
    if (!ended) throw wrongCurrentPassword()
    tokens.revoke(ended)
    logEvent("password_changed", { userId, address: client.address })
    return tokensOfNewSession(deps, id, userId)
  })
}

export const passwordChanges = (deps: Deps) =>
  new Elysia({ prefix: "/users/me", detail: { tags: ["accounts"], security: bearer } })
    .onTransform(noStore)
    .use(signedIn(deps.tokens.authenticate))
    .use(clientAddress(deps.trustedProxies))
    .put(
      "/password",
      ({ caller, body, address, request }) =>
        change(deps, caller.userId, body, clientOf(request, address)),
      {
        ...jsonBody(passwordChange),
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
