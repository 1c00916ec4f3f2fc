/** Finds the USER of a command line: an email or an id. */
import { type Account, findAccount } from "../../accounts/admin.ts"
import type { Sql } from "../../database/connect.ts"

const isId = (user: string) => /^[1-9]\d*$/.test(user) && Number.isSafeInteger(Number(user))

/** Throws if there is no such user. */
export const findUser = async (sql: Sql, user: string): Promise<Account> => {
  const account = await findAccount(sql, isId(user) ? Number(user) : user.trim())
  if (!account) throw new Error(`there is no user ${user}`)
  return account
}
