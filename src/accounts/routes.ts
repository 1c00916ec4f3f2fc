/** /users/me: the caller's own account. Shapes: model.ts. SQL: queries.ts. */

import { randomUUID } from "node:crypto"
import { Elysia, t } from "elysia"
import type { Statements } from "../database/connection.ts"
import { clientAddress } from "../http/request/client-address.ts"
import { takesJson } from "../http/request/json-body.ts"
import { noStore } from "../http/response/no-store.ts"
import { bearer, signedIn } from "../http/signed-in.ts"
import * as model from "./model.ts"
import { accountOf } from "./outside-users.ts"
import { guessOwnPassword } from "./passwords/attempt.ts"
import { hashPassword } from "./passwords/hashing.ts"
import { refuseGuessable } from "./passwords/rules.ts"
import { wrongCurrentPassword } from "./problems.ts"
import { deleteUser, findUser } from "./queries.ts"
import { deleteSessionsOf } from "./sessions/ending/queries.ts"
import { type Client, clientOf } from "./sessions/model.ts"
import { changePassword } from "./sessions/queries.ts"
import { firstAnswer, type SessionDeps } from "./sessions/sessions.ts"
import type { Throttle } from "./throttle/throttle.ts"
import { userKey } from "./tokens/revocation-keys.ts"

type Deps = SessionDeps & {
  throttle: Throttle
  trustedProxies: string[]
  /** Deletes what the other features hold of a user, and the user by `thenDelete`. */
  deleteOwned: (
    userId: number,
    thenDelete: (transaction: Statements) => Promise<unknown>,
  ) => Promise<void>
}

/** The tokens of a new session: all others have ended. */
const change = async (
  deps: Deps,
  userId: number,
  { current_password, new_password }: model.PasswordChange,
  client: Client,
) => {
  const { sql, tokens, lifetimes, logEvent } = deps
  const user = await findUser(sql, userId)
  await refuseGuessable("/new_password", new_password, user?.email ?? null)
  const attempt = { userId, password: current_password, client }
  return guessOwnPassword(deps, attempt, async (from, guess) => {
    const to = await hashPassword(new_password)
    const id = randomUUID()
    const ended = await changePassword(sql, { id, userId, from, to, guess, client, lifetimes })
    if (!ended) throw wrongCurrentPassword()
    tokens.revoke(ended)
    logEvent("password_changed", { userId, address: client.address })
    return firstAnswer(deps, id, userId)
  })
}

export const me = (deps: Deps) => {
  const { sql, tokens } = deps
  return new Elysia({ prefix: "/users/me", detail: { tags: ["accounts"], security: bearer } })
    .onTransform(noStore)
    .use(signedIn(tokens.authenticate))
    .use(clientAddress(deps.trustedProxies))
    .get("", ({ caller }) => accountOf(sql, caller.userId), {
      response: { 200: model.user },
      detail: {
        operationId: "getMe",
        summary: "Get the caller's account",
        description: "Who the access token is of.",
      },
    })
    .put(
      "/password",
      ({ caller, body, address, request }) =>
        change(deps, caller.userId, body, clientOf(request, address)),
      {
        ...takesJson(model.passwordChange),
        response: { 200: model.tokens },
        detail: {
          operationId: "changePassword",
          summary: "Change the password",
          errors: ["INVALID_CREDENTIALS", "TOO_MANY_REQUESTS"],
          description:
            "Ends every session of the user, this one too, and every token that is of none, and " +
            "answers with the tokens of a new session. A wrong current password counts as a " +
            "failed login; a user who came from outside has none.",
        },
      },
    )
    .delete(
      "",
      async ({ caller: { userId }, address, status }) => {
        await deleteSessionsOf(sql, userId)
        await deps.deleteOwned(userId, (transaction) => deleteUser(transaction, userId))
        tokens.revoke([userKey(userId)])
        deps.logEvent("account_deleted", { userId, address })
        return status(204, undefined)
      },
      {
        response: { 204: t.Undefined() },
        detail: {
          operationId: "deleteMe",
          summary: "Delete the account",
          description:
            "The user, their todos and their sessions are gone for good, and all their tokens " +
            "are refused. The email may be registered anew.",
        },
      },
    )
}
