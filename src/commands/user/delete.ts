/** `todo-api user delete USER`: does what DELETE /users/me does. */

import { findDetails } from "../../accounts/admin.ts"
import { deleteSessionsOf } from "../../accounts/sessions/ending/queries.ts"
import { deleteUser as deleteAccount } from "../../accounts/users.ts"
import { deleteTodosOf } from "../../todos/erase.ts"
import { createTurns } from "../../todos/revisions.ts"
import { type Flags, UsageError } from "../command.ts"
import { withUsers } from "../open-database.ts"
import { membersOf, show } from "../print.ts"
import { findUser } from "./find.ts"

const isAgreed = async (question: string) => {
  process.stderr.write(question)
  for await (const line of console) return /^y(es)?$/i.test(line.trim())
  return false
}

export const deleteUser = (env: NodeJS.ProcessEnv, user: string, flags: Flags) => {
  if (!flags["yes"] && !process.stdin.isTTY)
    throw new UsageError("nobody is there to be asked: add --yes to delete without a question")
  return withUsers(env, async ({ sql, logEvent }) => {
    const account = await findUser(sql, user)
    const { todos } = await findDetails(sql, account.id)
    const who = account.email ?? account.id
    if (!flags["yes"] && !(await isAgreed(`Delete ${who} and ${todos} todos for good? [y/N] `)))
      throw new Error("nothing was deleted")
    await deleteSessionsOf(sql, account.id)
    await deleteTodosOf({ sql, turns: createTurns() }, { ownerId: account.id }, (transaction) =>
      deleteAccount(transaction, account.id),
    )
    logEvent("account_deleted", { userId: account.id })
    return show(flags, account, membersOf(account))
  })
}
