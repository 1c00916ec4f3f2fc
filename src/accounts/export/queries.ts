/** All SQL by which an export reads what accounts hold of a user. Nothing that lets anybody in. */
import type { Sql } from "../../database/connection.ts"
import type { Identity, Session } from "./model.ts"

export const listIdentities = (sql: Sql, userId: number) => sql<Identity[]>`
  select issuer, subject
  from identities
  where user_id = ${userId}`

/** The next ones after a session, in the order of their ids. */
export const listSessions = (
  sql: Sql,
  userId: number,
  limit: number,
  after: Session | undefined,
) => sql<Session[]>`
  select id, created_at, expires_at
  from sessions
  where user_id = ${userId}
    ${after ? sql`and id > ${after.id}::uuid` : sql``}
  order by id
  limit ${limit}`
