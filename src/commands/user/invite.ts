/** `todo-api user invite [EMAIL]`: makes a token for a registration. */

import { findAccount } from "../../accounts/admin.ts"
import { createInvite } from "../../accounts/registration-queries.ts"
import { email as emailSchema } from "../../accounts/schemas.ts"
import { brokenTextRule } from "../../http/schema.ts"
import { type Flags, UsageError } from "../command.ts"
import { withUsers } from "../open-database.ts"
import { membersOf, show } from "../print.ts"

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
