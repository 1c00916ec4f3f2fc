/** The SQL that changes an email. */
import type { Sql } from "../database/connect.ts"
import { folded, unlessEmailTaken } from "./emails.ts"
import { enqueueMail } from "./mail.ts"
import { deletePasswordReset } from "./password-resets/queries.ts"

type EmailChange = {
  userId: number
  email: string
  /** The hash that the given password matched. */
  passwordHash: string
  /** Whether the old address gets a mail. */
  isTold: boolean
}

/** False if the password was changed in the meantime. */
export const changeEmail = (sql: Sql, { userId, email, passwordHash, isTold }: EmailChange) =>
  sql.begin(async (transaction) => {
    const [before] = await transaction<{ email: string; is_other: boolean }[]>`
      select email, ${folded(sql, sql`email`)} <> ${folded(sql, email)} as is_other
      from users
      where id = ${userId}
        and password_hash = ${passwordHash}
      for update`
    if (!before) return false
    await unlessEmailTaken(transaction`
      update users
      set email = ${email}
      where id = ${userId}`)
    // Its mail went to the old address.
    await deletePasswordReset(transaction, userId)
    if (isTold && before.is_other) await enqueueMail(transaction, "email_changed", before.email)
    return true
  })
