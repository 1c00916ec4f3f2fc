/** GET and DELETE /users/me. */
import { t } from "elysia"
import type { Statements } from "../database/sql.ts"
import { authenticated } from "../http/guard.ts"
import type { Accounts } from "./context.ts"
import { userKey } from "./revocation-keys.ts"
import { user } from "./schemas.ts"
import { deleteSessionsOf } from "./sessions/queries.ts"
import { deleteUser, findOrCreateUser } from "./users.ts"

type Deps = Accounts & {
  /** Deletes what the other features store about a user, then calls `thenDelete` to delete the user. */
  deleteOwned: (
    userId: number,
    thenDelete: (transaction: Statements) => Promise<unknown>,
  ) => Promise<void>
}

export const me = ({ deleteOwned, ...accounts }: Deps) =>
  authenticated(accounts, "/users/me")
    .get("", ({ caller }) => findOrCreateUser(accounts.sql, caller.userId), {
      response: { 200: user },
      detail: {
        operationId: "getMe",
        summary: "Get the caller's account",
        description: "The user to whom the access token belongs.",
      },
    })
    .delete(
      "",
      async ({ caller: { userId }, client, status }) => {
        await deleteSessionsOf(accounts.sql, userId)
        await deleteOwned(userId, (transaction) => deleteUser(transaction, userId))
        accounts.tokens.revoke([userKey(userId)])
        accounts.logEvent("account_deleted", { userId, address: client.address })
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
