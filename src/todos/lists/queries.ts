/** All SQL over lists of todos. Every statement names the owner. */
import { PREPARED, type Sql, type Value } from "../../database/connect.ts"
import { listState } from "../changes/queries.ts"
import type { Todo } from "../members.ts"
import type { Position } from "./cursor.ts"
import type { Selection } from "./parameters.ts"

/** Written as in the indexes: otherwise Postgres would sort. */
const SORT_KEYS = {
  created_at: { column: "created_at", type: "timestamptz" },
  updated_at: { column: "updated_at", type: "timestamptz" },
  title: { column: 'title collate "C"', type: "text" },
}

const order = (sort: Selection["sort"]) => ({
  ...SORT_KEYS[sort.replace("-", "") as keyof typeof SORT_KEYS],
  ...(sort.startsWith("-")
    ? { direction: "desc", isAfter: "<", isUpTo: ">=" }
    : { direction: "asc", isAfter: ">", isUpTo: "<=" }),
})

/** Adds a value to the statement, and returns its placeholder. */
type Note = (value: Value) => string

const noteIn =
  (values: Value[]): Note =>
  (value) =>
    `$${values.push(value)}`

/** The number of code points that are searched first. */
const BEGINNING = 8

/**
 * A user may choose texts and searches that are slow: strpos compares almost all of the search at every
 * character of "aaaa…", which takes 100 times as long. Postgres finds bytes in bytes much faster, so that
 * the worst search takes only a few times as long as others. But strpos is faster for todos that do not
 * match, so it looks for the beginning first: as that is short, its worst case is bounded.
 */
const matching = (note: Note, q: string | undefined) => {
  if (q === undefined) return ""
  const folded = `upper(lower(${note(q)}::text collate "und-x-icu"))`
  return `
    and strpos(search_text, (select left(${folded}, ${BEGINNING}))) > 0
    and position(
      (select convert_to(${folded}, 'UTF8')) in convert_to(search_text, 'UTF8')
    ) > 0`
}

/** Rows. A page of this size takes a fraction of a millisecond, unless it is a search. */
const BRIEF_LIMIT = 100

/** `state` is that of the list when the statement read it. */
export type Listed = Todo & { key: string; state: string }
/** The part of a list after one position, up to and including another. */
export type Range = { after?: Position | undefined; until?: Position | undefined }

const within = (note: Note, sort: Selection["sort"], { after, until }: Range) => {
  const { column, type, isAfter, isUpTo } = order(sort)
  const position = ({ key, id }: Position) => `(${note(key)}::${type}, ${note(id)}::bigint)`
  return `
    ${after ? `and (${column}, id) ${isAfter} ${position(after)}` : ""}
    ${until ? `and (${column}, id) ${isUpTo} ${position(until)}` : ""}`
}

/** The first `limit` matching todos of a range. */
export const readRange = (
  sql: Sql,
  ownerId: number,
  { sort, isCompleted, q }: Selection,
  limit: number,
  range: Range,
) => {
  const values: Value[] = []
  const note = noteIn(values)
  const owner = note(ownerId)
  const most = note(limit)
  const { column, direction } = order(sort)
  const matches = `${within(note, sort, range)} ${matching(note, q)}`
  const branch = (isCompleted: boolean) => `
    select id, title, description, is_completed, created_at, updated_at, ${column}::text as key
    from todos
    where owner_id = ${owner}
      and is_completed = ${isCompleted}
      ${matches}
    order by ${column} ${direction}, id ${direction}
    limit ${most}`
  // Each branch needs its own limit: without it Postgres would read the branch to its end.
  const branches =
    isCompleted === undefined
      ? `(${branch(false)}) union all (${branch(true)})`
      : branch(isCompleted)
  const tag = q === undefined && limit <= BRIEF_LIMIT ? sql.pipelined : sql
  return tag.unsafe<Listed[]>(
    `
    select id, title, description, is_completed, created_at, updated_at, key,
      ${listState(owner)} as state
    from (${branches}) as ranges
    order by ${column} ${direction}, id ${direction}
    limit ${most}`,
    values,
    PREPARED,
  )
}

/** The position `distance` todos further, matching or not. Undefined beyond the end. */
export const positionAfter = async (
  sql: Sql,
  ownerId: number,
  { sort, isCompleted }: Selection,
  distance: number,
  after: Position | undefined,
) => {
  const values: Value[] = []
  const note = noteIn(values)
  const owner = note(ownerId)
  const most = note(distance)
  const { column, direction } = order(sort)
  const isWithin = within(note, sort, { after })
  const branch = (isCompleted: boolean) => `
    select ${column} as key, id
    from todos
    where owner_id = ${owner}
      and is_completed = ${isCompleted}
      ${isWithin}
    order by ${column} ${direction}, id ${direction}
    limit ${most}`
  const ranges =
    isCompleted === undefined
      ? `(${branch(false)}) union all (${branch(true)})`
      : branch(isCompleted)
  const [position] = await sql.unsafe<Position[]>(
    `
    select key::text, id
    from (
      select key, id
      from (${ranges}) as ranges
      order by key ${direction}, id ${direction}
      offset ${most}::bigint - 1
      limit 1
    ) as position`,
    values,
    PREPARED,
  )
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

/** Counts the matches in a range of `size` todos. Ordered and limited, so that Postgres uses the index. */
export const countMatches = async (
  sql: Sql,
  ownerId: number,
  { sort, isCompleted, q }: Selection,
  size: number,
  range: Range,
) => {
  const values: Value[] = []
  const note = noteIn(values)
  const owner = note(ownerId)
  const most = note(size)
  const { column } = order(sort)
  const isWithin = within(note, sort, range)
  const matches = matching(note, q)
  const branch = (isCompleted: boolean) => `(
    select count(*)
    from (
      select search_text
      from todos
      where owner_id = ${owner}
        and is_completed = ${isCompleted}
        ${isWithin}
      order by ${column}, id
      limit ${most}
    ) as counted
    where true
      ${matches})`
  const counts =
    isCompleted === undefined ? `${branch(false)} + ${branch(true)}` : branch(isCompleted)
  const [row] = await sql.unsafe<[{ count: number }]>(`select ${counts} as count`, values, PREPARED)
  return row.count
}
