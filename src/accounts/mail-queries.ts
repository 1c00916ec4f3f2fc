/** All SQL over mails that wait to be sent. */
import type { Sql, Statements } from "../database/connect.ts"
import { deleteExpiredRows } from "../database/expired-rows.ts"
import { ofEmail } from "./emails.ts"

export type Mail = {
  id: string
  kind: "password_reset" | "email_changed"
  recipient: string
  attempts: number
  created_at: string
  /** After this time it is not sent any more. */
  expires_at: string
}

export const enqueueMail = (sql: Statements, kind: Mail["kind"], recipient: string) => sql`
  insert into mails (id, kind, recipient, expires_at)
  values (${crypto.randomUUID()}, ${kind}, ${recipient}, now() + interval '1 day')`

/**
 * Takes due mails for `seconds`. If they have not been deleted by then, another instance takes them.
 * If two instances find the same row, one waits for the other and then finds it no longer due.
 */
export const takeDueMails = (sql: Sql, limit: number, seconds: number) => sql<Mail[]>`
  update mails
  set attempts = attempts + 1,
    due_at = now() + make_interval(secs => ${seconds})
  where due_at <= now()
    and expires_at > now()
    and id in (
      select id
      from mails
      where due_at <= now()
        and expires_at > now()
      order by due_at
      limit ${limit}
    )
  returning id, kind, recipient, attempts, created_at, expires_at`

export const postponeMail = (sql: Sql, id: string, seconds: number) => sql`
  update mails
  set due_at = now() + make_interval(secs => ${seconds})
  where id = ${id}`

export const deleteMail = (sql: Sql, id: string) => sql`
  delete from mails
  where id = ${id}`

/** The user who gets the mail, with the address as they registered it: a request may spell it otherwise. */
export const findRecipient = async (sql: Sql, email: string) => {
  const [row] = await sql<{ id: number; email: string }[]>`
    select id, email
    from users
    where ${ofEmail(sql, email)}
      and disabled_at is null`
  return row
}

export const deleteExpiredMails = (sql: Sql, limit: number) =>
  deleteExpiredRows(sql, "mails", limit)
