/** `todo-api user show USER`: prints what is known of a user. */
import { findDetails } from "../../accounts/admin.ts"
import type { Flags } from "../command.ts"
import { withUsers } from "../open-database.ts"
import { membersOf, show } from "../print.ts"
import { findUser } from "./find.ts"

export const showUser = (env: NodeJS.ProcessEnv, user: string, flags: Flags) =>
  withUsers(env, async ({ sql, logEvent }) => {
    const account = await findUser(sql, user)
    const shown = { ...account, ...(await findDetails(sql, account.id)) }
    logEvent("account_shown", { userId: account.id })
    return show(flags, shown, membersOf(shown))
  })
