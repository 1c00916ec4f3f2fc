/** All SQL over lists of todos. Every statement names the owner. */
import type { Sql } from "../database/connection.ts"
import type { Place } from "./cursor.ts"
import type { Selection } from "./list-query.ts"
import type { Todo } from "./model.ts"

/** As the indexes say it, so that they serve the order. */
const sortKeys = {
  created_at: (sql: Sql) => ({ column: sql`created_at`, type: sql`timestamptz` }),
  updated_at: (sql: Sql) => ({ column: sql`updated_at`, type: sql`timestamptz` }),
  title: (sql: Sql) => ({ column: sql`title collate "C"`, type: sql`text` }),
}

const order = (sql: Sql, sort: Selection["sort"]) => ({
  ...sortKeys[sort.replace("-", "") as keyof typeof sortKeys](sql),
  ...(sort.startsWith("-")
    ? { direction: sql`desc`, isAfter: sql`<` }
    : { direction: sql`asc`, isAfter: sql`>` }),
})

const matching = (sql: Sql, q: string | undefined) =>
  q === undefined
    ? sql``
    : sql`and strpos(
        search_text,
        (select upper(lower(${q}::text collate "und-x-icu")))
      ) > 0`

/** A page of no more todos is read in a fraction of a millisecond, as long as nothing is searched. */
const BRIEF_LIMIT = 100

type Listed = Todo & { key: string }
export type Page = { todos: Todo[]; next: Place | undefined }

/** So many todos after a place, and the place of the last one if there are more. */
export const listTodos = async (
  sql: Sql,
  ownerId: number,
  { sort, isCompleted, q }: Selection,
  limit: number,
  after?: Place,
): Promise<Page> => {
  const { column, type, direction, isAfter } = order(sql, sort)
  const range = (isCompleted: boolean) => sql`
    select id, title, description, is_completed, created_at, updated_at, ${column}::text as key
    from todos
    where owner_id = ${ownerId}
      and is_completed = ${isCompleted}
      ${after ? sql`and (${column}, id) ${isAfter} (${after.key}::${type}, ${after.id})` : sql``}
      ${matching(sql, q)}
    order by ${column} ${direction}, id ${direction}
    limit ${limit + 1}`
  const tag = q === undefined && limit <= BRIEF_LIMIT ? sql.brief : sql
  const rows = await (isCompleted === undefined
    ? // Each range with a limit of its own, for only so does Postgres read no more of it.
      tag<Listed[]>`
        select id, title, description, is_completed, created_at, updated_at, key
        from ((${range(false)}) union all (${range(true)})) as ranges
        order by ${column} ${direction}, id ${direction}
        limit ${limit + 1}`
    : tag<Listed[]>`${range(isCompleted)}`)
  const last = rows.length > limit ? rows[limit - 1] : undefined
  return {
    todos: rows
      .slice(0, limit)
      .map(({ id, title, description, is_completed, created_at, updated_at }) => ({
        id,
        title,
        description,
        is_completed,
        created_at,
        updated_at,
      })),
    next: last && { key: last.key, id: last.id },
  }
}

export const countTodos = async (sql: Sql, ownerId: number, { isCompleted, q }: Selection) => {
  const [row] = await sql<[{ count: number }]>`
    select count(*)
    from todos
    where owner_id = ${ownerId}
      ${isCompleted === undefined ? sql`` : sql`and is_completed = ${isCompleted}`}
      ${matching(sql, q)}`
  return row.count
}
