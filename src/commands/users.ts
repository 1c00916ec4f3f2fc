/** `todo-api user list`: prints the users, page by page. */
import { findAccounts } from "../accounts/admin.ts"
import { type Flags, UsageError } from "./command.ts"
import { withUsers } from "./open-database.ts"
import { show } from "./print.ts"

const LIMIT = 100
const LARGEST_LIMIT = 1_000

const number = (flags: Flags, name: string, fallback: number, max: number) => {
  const value = flags[name] ?? fallback
  const parsed = /^\d{1,16}$/.test(String(value)) ? Number(value) : Number.NaN
  if (!(parsed <= max)) throw new UsageError(`--${name} takes a whole number up to ${max}`)
  return parsed
}

export const listUsers = (env: NodeJS.ProcessEnv, flags: Flags) => {
  const { search } = flags
  const page = {
    search: typeof search === "string" ? search : undefined,
    limit: number(flags, "limit", LIMIT, LARGEST_LIMIT),
    after: number(flags, "after", 0, Number.MAX_SAFE_INTEGER),
  }
  return withUsers(env, async ({ sql, logEvent }) => {
    // One more, to know whether there is another page.
    const found = await findAccounts(sql, { ...page, limit: page.limit + 1 })
    logEvent("accounts_listed", {})
    const users = found.slice(0, page.limit)
    const rows = users.map((user) => [user.id, user.email, user.created_at, user.disabled_at])
    await show(flags, users, [["id", "email", "created", "disabled"], ...rows])
    if (found.length > users.length && !flags["json"])
      console.error(`There are more: --after ${users.at(-1)?.id ?? page.after}`)
    return 0
  })
}
