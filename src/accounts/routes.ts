/** /users/me: the caller's own account. Shapes: model.ts. SQL: queries.ts. */
import { Elysia, t } from "elysia"
import type { Sql, Statements } from "../database/connection.ts"
import { clientAddress } from "../http/client-address.ts"
import { takesJson } from "../http/json-body.ts"
import { bearer, signedIn } from "../http/signed-in.ts"
import * as model from "./model.ts"
import { refuseGuessable } from "./new-passwords/rules.ts"
import { accountOf } from "./outside-users.ts"
import { hashPassword, inTurn, verifyPassword } from "./passwords.ts"
import { wrongCurrentPassword } from "./problems.ts"
import { deleteUser, findPasswordHash, findUser } from "./queries.ts"
import { changePassword } from "./sessions/queries.ts"
import type { Throttle } from "./throttle/throttle.ts"
import { userKey } from "./tokens/revocation-keys.ts"
import type { Caller, Tokens } from "./tokens/tokens.ts"

type Deps = {
  sql: Sql
  tokens: Tokens
  throttle: Throttle
  trustedProxies: string[]
  /** Deletes what the other features hold of a user, and the user by `thenDelete`. */
  deleteOwned: (
    userId: number,
    thenDelete: (transaction: Statements) => Promise<unknown>,
  ) => Promise<void>
}

/** The keys of the sessions that ended. */
const change = async (
  { sql, throttle }: Deps,
  { userId, sessionId }: Caller,
  { current_password, new_password }: model.PasswordChange,
  address: string,
) => {
  const [user, from] = await Promise.all([findUser(sql, userId), findPasswordHash(sql, userId)])
  await refuseGuessable("/new_password", new_password, user?.email ?? null)
  const guess = throttle.guess(userId, address)
  return inTurn(async () => {
    await throttle.countGuess(guess)
    const isRight = await verifyPassword(current_password, from)
    if (from === null || !isRight) throw wrongCurrentPassword()
    const to = await hashPassword(new_password)
    const ended = await changePassword(sql, { userId, sessionId, from, to, guess })
    if (!ended) throw wrongCurrentPassword()
    return ended
  })
}

export const me = (deps: Deps) => {
  const { sql, tokens } = deps
  return new Elysia({ prefix: "/users/me", detail: { tags: ["accounts"], security: bearer } })
    .onTransform(({ set }) => {
      set.headers["cache-control"] = "no-store"
    })
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
      async ({ caller, body, address, status }) => {
        tokens.revoke(await change(deps, caller, body, address))
        return status(204, undefined)
      },
      {
        ...takesJson(model.passwordChange),
        response: { 204: t.Undefined() },
        detail: {
          operationId: "changePassword",
          summary: "Change the password",
          errors: ["INVALID_CREDENTIALS", "TOO_MANY_REQUESTS"],
          description:
            "Ends every other session of the user. A wrong current password counts as a failed " +
            "login; a user who came from outside has none.",
        },
      },
    )
    .delete(
      "",
      async ({ caller, status }) => {
        await deps.deleteOwned(caller.userId, (transaction) =>
          deleteUser(transaction, caller.userId),
        )
        tokens.revoke([userKey(caller.userId)])
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
