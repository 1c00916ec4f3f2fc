/** `todo-api user disable|enable USER`: refuses the logins and tokens of a user, or accepts them again. */
import { setDisabled } from "../../accounts/admin.ts"
import type { Flags } from "../command.ts"
import { withUsers } from "../open-database.ts"
import { membersOf, show } from "../print.ts"
import { findUser } from "./find.ts"

export const setUserState = (
  env: NodeJS.ProcessEnv,
  user: string,
  isDisabled: boolean,
  flags: Flags,
) =>
  withUsers(env, async ({ sql, logEvent }) => {
    const { id } = await findUser(sql, user)
    await setDisabled(sql, id, isDisabled)
    logEvent(isDisabled ? "account_disabled" : "account_enabled", { userId: id })
    const account = await findUser(sql, String(id))
    return show(flags, account, membersOf(account))
  })
