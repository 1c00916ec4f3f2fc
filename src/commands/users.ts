/** `todo-api user list|show|invite|reset|disable|enable|delete`. USER is an email or an id. */
import * as admin from "../accounts/admin.ts"
import { deleteAccount } from "../accounts/deletion.ts"
import { createPasswordReset } from "../accounts/password-reset.ts"
import { createInvite } from "../accounts/registration.ts"
import { email as emailSchema } from "../accounts/schemas.ts"
import type { Sql } from "../database/sql.ts"
import { brokenTextRule } from "../http/schema.ts"
import { deleteTodosOf } from "../todos/erase.ts"
import { createTurns } from "../todos/revisions.ts"
import { type Flags, print, UsageError } from "./command.ts"
import { withUsers } from "./open-database.ts"

type Env = NodeJS.ProcessEnv

type Cell = string | number | null | undefined

/** Replaces control characters, which a terminal obeys: an email may come from anybody. */
const visible = (cell: Cell) => String(cell ?? "-").replaceAll(/\p{C}/gu, "\u{fffd}")

/** A table with columns of fitting width. */
const table = (rows: Cell[][]) => {
  const cells = rows.map((row) => row.map(visible))
  const widths = cells[0]?.map((_, at) => Math.max(...cells.map((row) => row[at]?.length ?? 0)))
  const padded = cells.map((row) => row.map((cell, at) => cell.padEnd(widths?.[at] ?? 0)))
  return padded.map((row) => `${row.join("  ").trimEnd()}\n`).join("")
}

/** Prints the value as JSON, or the rows as a table: by default a row for each member. */
const show = ({ json }: Flags, value: object, rows: Cell[][] = Object.entries(value)) =>
  print(json ? `${JSON.stringify(value)}\n` : table(rows))

const LIMIT = 100
const LARGEST_LIMIT = 1_000

const number = (flags: Flags, name: string, fallback: number, min: number, max: number) => {
  const value = flags[name] ?? fallback
  const parsed = /^\d{1,16}$/.test(String(value)) ? Number(value) : Number.NaN
  if (parsed >= min && parsed <= max) return parsed
  throw new UsageError(`--${name} takes a whole number from ${min} to ${max}`)
}

export const listUsers = (env: Env, _: string, flags: Flags) => {
  const { search } = flags
  const page = {
    search: typeof search === "string" ? search : undefined,
    limit: number(flags, "limit", LIMIT, 1, LARGEST_LIMIT),
    after: number(flags, "after", 0, 0, Number.MAX_SAFE_INTEGER),
  }
  return withUsers(env, async ({ sql, logEvent }) => {
    // One more, to know whether there is another page.
    const found = await admin.findAccounts(sql, { ...page, limit: page.limit + 1 })
    logEvent("accounts_listed", {})
    const users = found.slice(0, page.limit)
    const rows = users.map((user) => [user.id, user.email, user.created_at, user.disabled_at])
    await show(flags, users, [["id", "email", "created", "disabled"], ...rows])
    if (found.length > users.length && !flags["json"])
      console.error(`There are more: --after ${users.at(-1)?.id ?? page.after}`)
    return 0
  })
}

const isId = (user: string) => /^[1-9]\d*$/.test(user) && Number.isSafeInteger(Number(user))

const findUser = async (sql: Sql, user: string): Promise<admin.Account> => {
  const account = await admin.findAccount(sql, isId(user) ? Number(user) : user.trim())
  if (!account) throw new Error(`there is no user ${user}`)
  return account
}

export const showUser = (env: Env, user: string, flags: Flags) =>
  withUsers(env, async ({ sql, logEvent }) => {
    const account = await findUser(sql, user)
    const shown = { ...account, ...(await admin.findDetails(sql, account.id)) }
    logEvent("account_shown", { userId: account.id })
    return show(flags, shown)
  })

export const inviteUser = (env: Env, given: string, flags: Flags) => {
  const email = given.trim() || null
  const broken = email === null ? undefined : brokenTextRule(emailSchema as never, email)
  if (broken) throw new UsageError(`EMAIL ${broken}`)
  return withUsers(env, async ({ sql, logEvent }) => {
    if (email !== null && (await admin.findAccount(sql, email)))
      throw new Error(`${email} is registered already`)
    const invite = await createInvite(sql, email)
    logEvent("invite_made", {})
    return show(flags, invite)
  })
}

export const resetUser = (env: Env, user: string, flags: Flags) =>
  withUsers(env, async ({ sql, logEvent }) => {
    const { id, email, disabled_at } = await findUser(sql, user)
    if (email === null) throw new Error(`${user} came from outside, and has no password here`)
    if (disabled_at !== null) throw new Error(`${user} is disabled: enable them first`)
    const made = await createPasswordReset(sql, id)
    if (!made) throw new Error(`${user} was disabled or deleted meanwhile`)
    const { email: _, ...reset } = made
    logEvent("password_reset_made", { userId: id })
    return show(flags, reset)
  })

const setState = (isDisabled: boolean) => (env: Env, user: string, flags: Flags) =>
  withUsers(env, async ({ sql, logEvent }) => {
    const { id } = await findUser(sql, user)
    await admin.setDisabled(sql, id, isDisabled)
    logEvent(isDisabled ? "account_disabled" : "account_enabled", { userId: id })
    const account = await findUser(sql, String(id))
    return show(flags, account)
  })

export const disableUser = setState(true)
export const enableUser = setState(false)

const isAgreed = async (question: string) => {
  process.stderr.write(question)
  for await (const line of console) return /^y(es)?$/i.test(line.trim())
  return false
}

/** Does what DELETE /users/me does. */
export const deleteUser = (env: Env, user: string, flags: Flags) => {
  if (!flags["yes"] && !process.stdin.isTTY)
    throw new UsageError("nobody is there to be asked: add --yes to delete without a question")
  return withUsers(env, async ({ sql, logEvent }) => {
    const account = await findUser(sql, user)
    const { todos } = await admin.findDetails(sql, account.id)
    const who = account.email ?? account.id
    if (!flags["yes"] && !(await isAgreed(`Delete ${who} and ${todos} todos for good? [y/N] `)))
      throw new Error("nothing was deleted")
    const deleteOwned = deleteTodosOf({ sql, turns: createTurns() })
    await deleteAccount({ sql, deleteOwned }, account.id)
    logEvent("account_deleted", { userId: account.id })
    return show(flags, account)
  })
}
