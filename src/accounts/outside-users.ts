/** Users whom another system's token names. They get a row with their first write. */
import type { Sql } from "../database/connect.ts"
import { goneUser } from "./problems.ts"
import type { User } from "./schemas.ts"
import { findUser, insertOutsideUser } from "./users.ts"

/** Throws the 401 of a user who was deleted: their id is never used again. */
export const createOutsideUser = async (sql: Sql, id: number) => {
  if (!(await insertOutsideUser(sql, id))) throw goneUser()
}

/** The account of the caller. Creates it for one who is here for the first time. */
export const findOrCreateAccount = async (sql: Sql, id: number): Promise<User> => {
  const known = await findUser(sql, id)
  if (known) return known
  await createOutsideUser(sql, id)
  const created = await findUser(sql, id)
  if (!created) throw goneUser()
  return created
}
