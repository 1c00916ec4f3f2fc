/** The SQL of the operator's commands over users. */
import type { Sql } from "../database/sql.ts"
import { changedKey, insertRevocations } from "./revocation-keys.ts"
import { HAS_NOT_ENDED } from "./sessions/queries.ts"
import { folded, isUser } from "./users.ts"

export type Account = {
  id: number
  /** Null for a federated user. */
  email: string | null
  created_at: string
  disabled_at: string | null
}

type Page = { search: string | undefined; limit: number; after: number }

/** Users whose email contains `search`, ignoring case, ordered by id. */
export const findAccounts = (sql: Sql, { search, limit, after }: Page) => sql<Account[]>`
  select id, email, created_at, disabled_at
  from users
  where id > ${after}
    ${search === undefined ? sql`` : sql`and strpos(${folded(sql, sql`email`)}, ${folded(sql, search)}) > 0`}
  order by id
  limit ${limit}`

/** Finds a user by id or by email. */
export const findAccount = async (sql: Sql, user: number | string) => {
  const [row] = await sql<Account[]>`
    select id, email, created_at, disabled_at
    from users
    where ${isUser(sql, user)}`
  return row
}

type Details = { sessions: number; todos: number; issuer: string | null; subject: string | null }

export const findDetails = async (sql: Sql, id: number) => {
  const [row] = await sql<[Details]>`
    select
      (
        select count(*)
        from sessions
        where user_id = ${id}
          and ${sql.unsafe(HAS_NOT_ENDED)}
      ) as sessions,
      (select count(*) from todos where owner_id = ${id}) as todos,
      (select issuer from identities where user_id = ${id}) as issuer,
      (select subject from identities where user_id = ${id}) as subject`
  return row
}

/** How long the change stays in the table. Every instance reads it within seconds. */
const KEPT_MINUTES = 10

/** Makes every instance verify the user's tokens again. */
export const setDisabled = (sql: Sql, id: number, isDisabled: boolean) => sql`
  with changed as (
    update users
    set disabled_at = ${isDisabled ? sql`now()` : null}
    where id = ${id}
      and disabled_at is ${isDisabled ? sql`null` : sql`not null`}
    returning id
  )
  ${insertRevocations(sql, sql`select ${changedKey(id)}, now() + make_interval(mins => ${KEPT_MINUTES}) from changed`)}`
