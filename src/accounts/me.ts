/** /users/me: the caller's own account. Shapes: model.ts. SQL: queries.ts. */
import { Elysia, t } from "elysia"
import type { Statements } from "../database/connect.ts"
import { clientAddress } from "../http/client-address.ts"
import { bearer, signedIn } from "../http/guard.ts"
import { noStore } from "../http/response/no-store.ts"
import { findOrCreateAccount } from "./outside-users.ts"
import { userKey } from "./revocation-keys.ts"
import * as model from "./schemas.ts"
import { deleteSessionsOf } from "./sessions/ending/queries.ts"
import type { SessionDeps } from "./sessions/issue.ts"
import { deleteUser } from "./users.ts"

type Deps = SessionDeps & {
  trustedProxies: string[]
  /** Deletes what the other features store about a user, then calls `thenDelete` to delete the user. */
  deleteOwned: (
    userId: number,
    client: { signal: AbortSignal },
    thenDelete: (transaction: Statements) => Promise<unknown>,
  ) => Promise<void>
}

export const me = (deps: Deps) => {
  const { sql, tokens } = deps
  return new Elysia({ prefix: "/users/me", detail: { tags: ["accounts"], security: bearer } })
    .onTransform(noStore)
    .use(signedIn(tokens.authenticate))
    .use(clientAddress(deps.trustedProxies))
    .get("", ({ caller }) => findOrCreateAccount(sql, caller.userId), {
      response: { 200: model.user },
      detail: {
        operationId: "getMe",
        summary: "Get the caller's account",
        description: "The user to whom the access token belongs.",
      },
    })
    .delete(
      "",
      async ({ caller: { userId }, address, request, status }) => {
        await deleteSessionsOf(sql, userId)
        await deps.deleteOwned(userId, request, (transaction) => deleteUser(transaction, userId))
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
            "Deletes the user, their todos and their sessions for good. All their tokens are " +
            "refused. The email can be registered again.",
        },
      },
    )
}
