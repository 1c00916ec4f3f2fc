/** All SQL over lists of todos. Every statement names the owner. */
import { PREPARED, type Sql, type Value } from "../../database/connection.ts"
import type { Todo } from "../model.ts"
import { listState } from "../sync/queries.ts"
import type { Position } from "./cursor.ts"
import type { Selection } from "./model.ts"

/** Spelled as the indexes spell them: otherwise Postgres would sort. */
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

/** Notes a value of the statement, and returns what stands for it in the text. */
type Note = (value: Value) => string

const noteIn =
  (values: Value[]): Note =>
  (value) =>
    `$${values.push(value)}`

/** Code points of a text that are looked for first. */
const BEGINNING = 8

/**
 * Whoever wrote the texts may have chosen the search, too: strpos compares almost all of it at each
 * character of "aaaa…", which is 100 times the work. Of bytes Postgres compares as many at once, so
 * that the worst search takes a few times as long as any. For most todos, which do not even contain
 * the beginning, strpos is faster; that of a short text is bounded.
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

/** Rows: a page of this many takes a fraction of a millisecond, unless it is searched. */
const BRIEF_LIMIT = 100

/** `state`: of the list when the statement read it. */
export type Listed = Todo & { key: string; state: string }
/** Of a list in its order: what comes after one position, up to and including another. */
export type Range = { after?: Position | undefined; until?: Position | undefined }

const within = (note: Note, sort: Selection["sort"], { after, until }: Range) => {
  const { column, type, isAfter, isUpTo } = order(sort)
  const position = ({ key, id }: Position) => `(${note(key)}::${type}, ${note(id)}::bigint)`
  return `
    ${after ? `and (${column}, id) ${isAfter} ${position(after)}` : ""}
    ${until ? `and (${column}, id) ${isUpTo} ${position(until)}` : ""}`
}

/** The first `limit` todos of a range that match. */
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
  // Each branch has a limit of its own: without it Postgres would read the branch to its end.
  const branches =
    isCompleted === undefined
      ? `(${branch(false)}) union all (${branch(true)})`
      : branch(isCompleted)
  const tag = q === undefined && limit <= BRIEF_LIMIT ? sql.brief : sql
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

/** The position `distance` todos further on, whether they match or not. Undefined beyond the end. */
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

/** Counts in a range of at most `size` todos: ordered and limited, so that Postgres uses its index. */
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
