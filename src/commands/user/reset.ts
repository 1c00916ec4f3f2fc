/** `todo-api user reset USER`: makes a token to set a new password. */
import { createPasswordReset } from "../../accounts/password-resets/queries.ts"
import type { Flags } from "../command.ts"
import { withUsers } from "../open-database.ts"
import { membersOf, show } from "../print.ts"
import { findUser } from "./find.ts"

export const resetUser = (env: NodeJS.ProcessEnv, user: string, flags: Flags) =>
  withUsers(env, async ({ sql, logEvent }) => {
    const { id, email, disabled_at } = await findUser(sql, user)
    if (email === null) throw new Error(`${user} came from outside, and has no password here`)
    if (disabled_at !== null) throw new Error(`${user} is disabled: enable them first`)
    const reset = await createPasswordReset(sql, id)
    if (!reset) throw new Error(`${user} was disabled or deleted meanwhile`)
    logEvent("password_reset_made", { userId: id })
    return show(flags, reset, membersOf(reset))
  })
