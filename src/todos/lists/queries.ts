/** All SQL over parts of lists of todos. Every statement names the owner. */
import type { Sql } from "../../database/connection.ts"
import type { Todo } from "../model.ts"
import type { Place } from "./cursor.ts"
import type { Selection } from "./model.ts"

/** As the indexes say it, so that they serve the order. */
const sortKeys = {
  created_at: (sql: Sql) => ({ column: sql`created_at`, type: sql`timestamptz` }),
  updated_at: (sql: Sql) => ({ column: sql`updated_at`, type: sql`timestamptz` }),
  title: (sql: Sql) => ({ column: sql`title collate "C"`, type: sql`text` }),
}

const order = (sql: Sql, sort: Selection["sort"]) => ({
  ...sortKeys[sort.replace("-", "") as keyof typeof sortKeys](sql),
  ...(sort.startsWith("-")
    ? { direction: sql`desc`, isAfter: sql`<`, isUpTo: sql`>=` }
    : { direction: sql`asc`, isAfter: sql`>`, isUpTo: sql`<=` }),
})

const matching = (sql: Sql, q: string | undefined) =>
  q === undefined
    ? sql``
    : sql`and strpos(
        search_text,
        (select upper(lower(${q}::text collate "und-x-icu")))
      ) > 0`

/** So few rows are read in a fraction of a millisecond, as long as nothing is searched. */
const BRIEF_LIMIT = 100

export type Listed = Todo & { key: string }
/** Of a list in its order: what comes after one place, up to and with another. */
export type Part = { after?: Place | undefined; until?: Place | undefined }

const within = (sql: Sql, sort: Selection["sort"], { after, until }: Part) => {
  const { column, type, isAfter, isUpTo } = order(sql, sort)
  const place = ({ key, id }: Place) => sql`(${key}::${type}, ${id})`
  return sql`
    ${after ? sql`and (${column}, id) ${isAfter} ${place(after)}` : sql``}
    ${until ? sql`and (${column}, id) ${isUpTo} ${place(until)}` : sql``}`
}

/** The first so many matching todos of a part. */
export const readPart = (
  sql: Sql,
  ownerId: number,
  { sort, isCompleted, q }: Selection,
  limit: number,
  part: Part,
) => {
  const { column, direction } = order(sql, sort)
  const range = (isCompleted: boolean) => sql`
    select id, title, description, is_completed, created_at, updated_at, ${column}::text as key
    from todos
    where owner_id = ${ownerId}
      and is_completed = ${isCompleted}
      ${within(sql, sort, part)}
      ${matching(sql, q)}
    order by ${column} ${direction}, id ${direction}
    limit ${limit}`
  const tag = q === undefined && limit <= BRIEF_LIMIT ? sql.brief : sql
  return isCompleted === undefined
    ? // Each range with a limit of its own, for only so does Postgres read no more of it.
      tag<Listed[]>`
        select id, title, description, is_completed, created_at, updated_at, key
        from ((${range(false)}) union all (${range(true)})) as ranges
        order by ${column} ${direction}, id ${direction}
        limit ${limit}`
    : tag<Listed[]>`${range(isCompleted)}`
}

/** The place that so many todos further is, whatever they match. Undefined beyond the end. */
export const placeFurther = async (
  sql: Sql,
  ownerId: number,
  { sort, isCompleted }: Selection,
  distance: number,
  after: Place | undefined,
) => {
  const { column, direction } = order(sql, sort)
  const range = (isCompleted: boolean) => sql`
    select ${column} as key, id
    from todos
    where owner_id = ${ownerId}
      and is_completed = ${isCompleted}
      ${within(sql, sort, { after })}
    order by ${column} ${direction}, id ${direction}
    limit ${distance}`
  const ranges =
    isCompleted === undefined
      ? sql`(${range(false)}) union all (${range(true)})`
      : range(isCompleted)
  const [place] = await sql<Place[]>`
    select key::text, id
    from (
      select key, id
      from (${ranges}) as ranges
      order by key ${direction}, id ${direction}
      offset ${distance - 1}
      limit 1
    ) as place`
  return place
}

export const countAll = async (sql: Sql, ownerId: number, isCompleted: boolean | undefined) => {
  const [row] = await sql<[{ count: number }]>`
    select count(*)
    from todos
    where owner_id = ${ownerId}
      ${isCompleted === undefined ? sql`` : sql`and is_completed = ${isCompleted}`}`
  return row.count
}

/** Of a part of so many todos: in order and limited, so that Postgres reads it by its index. */
export const countMatches = async (
  sql: Sql,
  ownerId: number,
  { sort, isCompleted, q }: Selection,
  size: number,
  part: Part,
) => {
  const { column } = order(sql, sort)
  const range = (isCompleted: boolean) => sql`(
    select count(*)
    from (
      select search_text
      from todos
      where owner_id = ${ownerId}
        and is_completed = ${isCompleted}
        ${within(sql, sort, part)}
      order by ${column}, id
      limit ${size}
    ) as part
    where true
      ${matching(sql, q)})`
  const [row] = await sql<[{ count: number }]>`
    select ${isCompleted === undefined ? sql`${range(false)} + ${range(true)}` : range(isCompleted)} as count`
  return row.count
}
