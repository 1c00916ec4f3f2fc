/** All SQL over lists of todos. Every statement names the owner. */
import { PREPARED, type Sql, type Value } from "../../database/connect.ts"
import { columns, todoJson } from "../members.ts"
import type { Position } from "./cursor.ts"
import type { Selection } from "./parameters.ts"

/** A text that is the same as long as no todo changes. `owner` is the placeholder of the owner. */
export const listState = (owner: string) => `(
  select coalesce(
    (
      select revision
      from revisions
      where owner_id = ${owner}
    ), 0) || '-' || left(epoch::text, 8)
  from epochs)`

const FIND_STATE = `select ${listState("$1")} as state`

export const findListState = async (sql: Sql, ownerId: number) => {
  const [row] = await sql.pipelined.unsafe<[{ state: string }]>(FIND_STATE, [ownerId], PREPARED)
  return row.state
}

/** Written as in the indexes: otherwise Postgres would sort. */
const SORT_KEYS = {
  created_at: { column: "created_at", type: "timestamptz" },
  updated_at: { column: "updated_at", type: "timestamptz" },
  title: { column: 'title collate "C"', type: "text" },
}

/** Whatever the role's time zone is. */
export const keyText = (key: string, type: string) =>
  type === "text" ? key : `to_char(${key} at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS.US"+00"')`

const order = (sort: Selection["sort"]) => ({
  ...SORT_KEYS[sort.replace("-", "") as keyof typeof SORT_KEYS],
  ...(sort.startsWith("-")
    ? { direction: "desc", isAfter: "<" }
    : { direction: "asc", isAfter: ">" }),
})

/** Adds a value to the statement, and returns its placeholder. */
type Bind = (value: Value) => string

const bindTo =
  (values: Value[]): Bind =>
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
const matching = (bind: Bind, q: string) => {
  const folded = `upper(lower(${bind(q)}::text collate "und-x-icu"))`
  return `
    strpos(search_text, (select left(${folded}, ${BEGINNING}))) > 0
    and position(
      (select convert_to(${folded}, 'UTF8')) in convert_to(search_text, 'UTF8')
    ) > 0`
}

/** `shown` of the first `most` todos after a position, in order, with the keys of the order. */
const ordered = (
  bind: Bind,
  owner: string,
  { sort, isCompleted }: Selection,
  after: Position | undefined,
  most: string,
  shown: string,
) => {
  const { column, type, direction, isAfter } = order(sort)
  const position =
    after &&
    `and (${column}, id) ${isAfter} (${bind(after.key)}::${type}, ${bind(after.id)}::bigint)`
  const branch = (isCompleted: boolean) => `
    select id, ${columns()}, created_at, updated_at, search_text
    from todos
    where owner_id = ${owner}
      and is_completed = ${isCompleted}
      ${position ?? ""}
    order by ${column} ${direction}, id ${direction}
    limit ${most}`
  // Each branch needs its own limit: without it Postgres would read the branch to its end.
  const branches =
    isCompleted === undefined
      ? `(${branch(false)}) union all (${branch(true)})`
      : branch(isCompleted)
  return `
    select ${shown} as todo, ${column} as key, id
    from (${branches}) as ranges
    order by ${column} ${direction}, id ${direction}
    limit ${most}`
}

/**
 * A page that reads one row more than `most`, to tell whether there are more. The position of the last
 * todo, and the length of the one beyond, are found in arrays: to number the rows would take longer.
 */
const page = (sort: Selection["sort"], most: string) => {
  const { type } = order(sort)
  const last = `[least(count(*), ${most}::bigint)::integer]`
  return `
    string_agg(todo, ','),
    count(*),
    ${keyText(`(array_agg(key))${last}`, type)},
    (array_agg(id))${last},
    (array_agg(octet_length(todo)))[${most} + 1]`
}

/** A page of todos as JSON without brackets. */
export type Read = {
  todos: Uint8Array
  count: number
  last: Position | undefined
  hasMore: boolean
}

type Column = Uint8Array | null | undefined
const textOf = (column: Column) => (column ? Buffer.from(column).toString() : undefined)
const numberOf = (column: Column) => Number(textOf(column) ?? 0)
const positionOf = (key: Column, id: Column) => {
  const text = textOf(key)
  return text === undefined ? undefined : { key: text, id: numberOf(id) }
}

const NOTHING = new Uint8Array()

const toRead = ([todos, count, key, id, beyond]: Column[]): Read => {
  const length = beyond ? (todos?.length ?? 0) - numberOf(beyond) - 1 : undefined
  return {
    todos: todos?.subarray(0, length && Math.max(0, length)) ?? NOTHING,
    count: numberOf(count),
    last: positionOf(key, id),
    hasMore: beyond !== null,
  }
}

/** Rows. A page of this size takes a fraction of a millisecond. */
export const BRIEF_LIMIT = 100

type Signal = (() => AbortSignal) | undefined

/** The first `limit` todos after a position, and the state of the list when the statement read it. */
export const readPage = async (
  sql: Sql,
  ownerId: number,
  selection: Selection,
  limit: number,
  after: Position | undefined,
  signal: Signal,
): Promise<Read & { state: string }> => {
  const values: Value[] = []
  const bind = bindTo(values)
  const [owner, most] = [bind(ownerId), `${bind(limit)}::integer`]
  const rows = ordered(bind, owner, selection, after, `${most} + 1`, todoJson("ranges"))
  const tag = limit <= BRIEF_LIMIT ? sql.pipelined : sql
  const [row = []] = await tag
    .unsafe(
      `select ${page(selection.sort, most)}, ${listState(owner)} from (${rows}) as page`,
      values,
      { ...PREPARED, signal },
    )
    .raw()
  return { ...toRead(row), state: textOf(row[5]) ?? "" }
}

/** Todos that a statement of a search looks at. With the longest texts that takes 50 ms. */
const SLICE = 2_000

/**
 * The first `limit` matches among the SLICE todos after a position; `end` is the position of the last of
 * those, unless the list ends before, or there are more matches.
 */
export const searchSlice = async (
  sql: Sql,
  ownerId: number,
  selection: Selection & { q: string },
  limit: number,
  after: Position | undefined,
  signal: Signal,
): Promise<Read & { end: Position | undefined }> => {
  const values: Value[] = []
  const bind = bindTo(values)
  const [owner, most] = [bind(ownerId), `${bind(limit)}::integer`]
  const { type } = order(selection.sort)
  const shown = `case when ${matching(bind, selection.q)} then ${todoJson("ranges")} end`
  const endOf = (column: string) =>
    `case when count(*) <= ${most} then (select ${column} from scanned offset ${SLICE - 1}) end`
  const [row = []] = await sql
    .unsafe(
      `
      with scanned as materialized (
        ${ordered(bind, owner, selection, after, String(SLICE), shown)}
      )
      select ${page(selection.sort, most)}, ${endOf(keyText("key", type))}, ${endOf("id")}
      from (
        select todo, key, id
        from scanned
        where todo is not null
        limit ${most} + 1
      ) as page`,
      values,
      { ...PREPARED, signal },
    )
    .raw()
  return { ...toRead(row), end: positionOf(row[5], row[6]) }
}

/** Counts the matches among the SLICE todos after a position, in about the order in which they are stored. */
export const countSlice = async (
  sql: Sql,
  ownerId: number,
  { isCompleted, q }: Selection & { q: string },
  after: Position | undefined,
  signal: Signal,
): Promise<{ count: number; end: Position | undefined }> => {
  const values: Value[] = []
  const bind = bindTo(values)
  const stored: Selection = { sort: "created_at", isCompleted, q }
  const rows = ordered(bind, bind(ownerId), stored, after, String(SLICE), matching(bind, q))
  const [row = []] = await sql
    .unsafe(
      `
      select sum(todo::integer), ${keyText(`(array_agg(key))[${SLICE}]`, "timestamptz")},
        (array_agg(id))[${SLICE}]
      from (${rows}) as scanned`,
      values,
      { ...PREPARED, signal },
    )
    .raw()
  return { count: numberOf(row[0]), end: positionOf(row[1], row[2]) }
}

export const countAll = async (
  sql: Sql,
  ownerId: number,
  isCompleted: boolean | undefined,
  signal: Signal,
) => {
  const [row] = await sql.unsafe<[{ count: number }]>(
    isCompleted === undefined
      ? "select coalesce((select todos from revisions where owner_id = $1), 0) as count"
      : `
    select count(*)
    from todos
    where owner_id = $1
      and is_completed = ${isCompleted}`,
    [ownerId],
    { ...PREPARED, signal },
  )
  return row.count
}
