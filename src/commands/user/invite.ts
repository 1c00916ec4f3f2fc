/** `todo-api user invite [EMAIL]`: makes a token for a registration. */
import { email as emailSchema } from "../../accounts/model.ts"
import { findAccount } from "../../accounts/operators/queries.ts"
import { createInvite } from "../../accounts/registration/queries.ts"
import { brokenTextRule } from "../../http/schema/text.ts"
import { type Flags, UsageError } from "../command.ts"
import { withUsers } from "./open.ts"
import { membersOf, show } from "./print.ts"

export const inviteUser = (env: NodeJS.ProcessEnv, given: string | undefined, flags: Flags) => {
  const email = given?.trim() ?? null
  const broken = email === null ? undefined : brokenTextRule(emailSchema as never, email)
  if (broken) throw new UsageError(`EMAIL ${broken}`)
  return withUsers(env, async ({ sql, logEvent }) => {
    if (email !== null && (await findAccount(sql, email)))
      throw new Error(`${email} is registered already`)
    const invite = await createInvite(sql, email)
    logEvent("invite_made", {})
    return show(flags, invite, membersOf(invite))
  })
}
