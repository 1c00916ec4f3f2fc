/** Users whom another system's token names: they exist here from their first write on. */
import type { Sql } from "../database/connection.ts"
import { goneUser } from "./problems.ts"
import { insertOutsideUser } from "./queries.ts"

/** Throws the 401 of a user who was deleted: their id is never used again. */
export const createOutsideUser = async (sql: Sql, id: number) => {
  if (!(await insertOutsideUser(sql, id))) throw goneUser()
}
