/** All SQL over lists of todos. Every statement names the owner. */
import type { Sql } from "../../database/connection.ts"
import type { Todo } from "../model.ts"
import { listState } from "../sync/queries.ts"
import type { Position } from "./cursor.ts"
import type { Selection } from "./model.ts"

/** Spelled as the indexes spell them: otherwise Postgres would sort. */
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

/** Code points of a text that are looked for first. */
const BEGINNING = 8

/**
 * Whoever wrote the texts may have chosen the search, too: strpos compares almost all of it at each
 * character of "aaaa…", which is 100 times the work. Of bytes Postgres compares as many at once, so
 * that the worst search takes a few times as long as any. For most todos, which do not even contain
 * the beginning, strpos is faster; that of a short text is bounded.
 */
const matching = (sql: Sql, q: string | undefined) => {
  if (q === undefined) return sql``
  const folded = sql`upper(lower(${q}::text collate "und-x-icu"))`
  return sql`
    and strpos(search_text, (select left(${folded}, ${BEGINNING}))) > 0
    and position(
      (select convert_to(${folded}, 'UTF8')) in convert_to(search_text, 'UTF8')
    ) > 0`
}

/** Rows: a page of this many takes a fraction of a millisecond, unless it is searched. */
const BRIEF_LIMIT = 100

/** `state`: of the list when the statement read it. */
export type Listed = Todo & { key: string; state: string }
/** Of a list in its order: what comes after one position, up to and including another. */
export type Range = { after?: Position | undefined; until?: Position | undefined }

const within = (sql: Sql, sort: Selection["sort"], { after, until }: Range) => {
  const { column, type, isAfter, isUpTo } = order(sql, sort)
  const position = ({ key, id }: Position) => sql`(${key}::${type}, ${id})`
  return sql`
    ${after ? sql`and (${column}, id) ${isAfter} ${position(after)}` : sql``}
    ${until ? sql`and (${column}, id) ${isUpTo} ${position(until)}` : sql``}`
}

/** The first `limit` todos of a range that match. */
export const readRange = (
  sql: Sql,
  ownerId: number,
  { sort, isCompleted, q }: Selection,
  limit: number,
  range: Range,
) => {
  const { column, direction } = order(sql, sort)
  const branch = (isCompleted: boolean) => sql`
    select id, title, description, is_completed, created_at, updated_at, ${column}::text as key,
      ${listState(sql, ownerId)} as state
    from todos
    where owner_id = ${ownerId}
      and is_completed = ${isCompleted}
      ${within(sql, sort, range)}
      ${matching(sql, q)}
    order by ${column} ${direction}, id ${direction}
    limit ${limit}`
  const tag = q === undefined && limit <= BRIEF_LIMIT ? sql.brief : sql
  return isCompleted === undefined
    ? // Each branch has a limit of its own: without it Postgres would read the branch to its end.
      tag<Listed[]>`
        select id, title, description, is_completed, created_at, updated_at, key, state
        from ((${branch(false)}) union all (${branch(true)})) as ranges
        order by ${column} ${direction}, id ${direction}
        limit ${limit}`
    : tag<Listed[]>`${branch(isCompleted)}`
}

/** The position `distance` todos further on, whether they match or not. Undefined beyond the end. */
export const positionAfter = async (
  sql: Sql,
  ownerId: number,
  { sort, isCompleted }: Selection,
  distance: number,
  after: Position | undefined,
) => {
  const { column, direction } = order(sql, sort)
  const branch = (isCompleted: boolean) => sql`
    select ${column} as key, id
    from todos
    where owner_id = ${ownerId}
      and is_completed = ${isCompleted}
      ${within(sql, sort, { after })}
    order by ${column} ${direction}, id ${direction}
    limit ${distance}`
  const ranges =
    isCompleted === undefined
      ? sql`(${branch(false)}) union all (${branch(true)})`
      : branch(isCompleted)
  const [position] = await sql<Position[]>`
    select key::text, id
    from (
      select key, id
      from (${ranges}) as ranges
      order by key ${direction}, id ${direction}
      offset ${distance - 1}
      limit 1
    ) as position`
  return position
}

export const countAll = async (sql: Sql, ownerId: number, isCompleted: boolean | undefined) => {
  const [row] = await sql<[{ count: number }]>`
    select count(*)
    from todos
    where owner_id = ${ownerId}
      ${isCompleted === undefined ? sql`` : sql`and is_completed = ${isCompleted}`}`
  return row.count
}

/** Counts in a range of at most `size` todos: ordered and limited, so that Postgres uses its index. */
export const countMatches = async (
  sql: Sql,
  ownerId: number,
  { sort, isCompleted, q }: Selection,
  size: number,
  range: Range,
) => {
  const { column } = order(sql, sort)
  const branch = (isCompleted: boolean) => sql`(
    select count(*)
    from (
      select search_text
      from todos
      where owner_id = ${ownerId}
        and is_completed = ${isCompleted}
        ${within(sql, sort, range)}
      order by ${column}, id
      limit ${size}
    ) as counted
    where true
      ${matching(sql, q)})`
  const [row] = await sql<[{ count: number }]>`
    select ${isCompleted === undefined ? sql`${branch(false)} + ${branch(true)}` : branch(isCompleted)} as count`
  return row.count
}
