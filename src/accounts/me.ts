/** GET and DELETE /users/me. */
import { t } from "elysia"
import { authenticated } from "../http/guard.ts"
import type { Accounts } from "./context.ts"
import { type DeleteOwned, deleteAccount } from "./deletion.ts"
import { userKey } from "./revocation-keys.ts"
import { user } from "./schemas.ts"
import { findOrCreateUser } from "./users.ts"

export const me = (accounts: Accounts & { deleteOwned: DeleteOwned }) =>
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
        await deleteAccount(accounts, userId, () => {
          accounts.tokens.revoke([userKey(userId)])
          accounts.logEvent("account_deleted", { userId, address: client.address })
        })
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
