/** All SQL over lists of todos. Every statement names the owner. */
import { PREPARED, type Sql, type Value } from "../../database/sql.ts"
import { todoJson } from "../members.ts"
import type { Position } from "./cursor.ts"
import { type Selection, SHORT_PAGE } from "./parameters.ts"

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
const keyText = (key: string, type: string) =>
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

/** What is read of a list: at most `limit` todos after a position. */
export type Reading = {
  ownerId: number
  selection: Selection
  limit: number
  after?: Position | undefined
  /** Of the client that waits for it. */
  signal?: (() => AbortSignal) | undefined
}

/** `shown` of the first `most` todos, in order, with their positions. */
const ordered = (
  bind: Bind,
  owner: string,
  { selection: { sort, isCompleted }, after }: Reading,
  most: string | number,
  shown: string,
) => {
  const { column, type, direction, isAfter } = order(sort)
  const position = after
    ? `and (${column}, id) ${isAfter} (${bind(after.key)}::${type}, ${bind(after.id)}::bigint)`
    : ""
  const branch = (isCompleted: boolean) => `
    select ${shown} as todo, ${column} as key, id
    from todos
    where owner_id = ${owner}
      and is_completed = ${isCompleted}
      ${position}
    order by ${column} ${direction}, id ${direction}
    limit ${most}`
  // Each branch needs its own limit: without it Postgres would read the branch to its end.
  return isCompleted === undefined
    ? `
    select todo, key, id
    from ((${branch(false)}) union all (${branch(true)})) as ranges
    order by key ${direction}, id ${direction}
    limit ${most}`
    : branch(isCompleted)
}

/**
 * The columns of a page that reads one row more than `most`, to tell whether there are more. The position of
 * the last todo, and the length of the one beyond, are found in arrays: to number the rows takes longer.
 */
export const pageColumns = (type: string, most: string) => {
  const last = `[least(count(*), ${most})::integer]`
  return `
    string_agg(todo, ','),
    count(*),
    ${keyText(`(array_agg(key))${last}`, type)},
    (array_agg(id))${last},
    (array_agg(octet_length(todo)))[${most} + 1]`
}

/** A page of todos as JSON, each for itself or several with commas between them. */
export type Read = {
  todos: Uint8Array[]
  /** How many were found, the one beyond included. */
  count: number
  /** The position of the last one, and the same if there are more. */
  last: Position | undefined
  next: Position | undefined
}

/** Undecoded. */
export type Column = Buffer | null | undefined
export const numberOf = (column: Column) => Number(column?.toString() ?? 0)
const positionOf = (key: Column, id: Column) =>
  key ? { key: key.toString(), id: numberOf(id) } : undefined

/** Reads what `pageColumns` select. */
export const toRead = ([todos, count, key, id, beyond]: Column[]): Read => {
  // Without the one beyond, and the comma before it.
  const length = beyond && todos ? todos.length - numberOf(beyond) - 1 : todos?.length
  const last = positionOf(key, id)
  return {
    todos: todos && length && length > 0 ? [todos.subarray(0, length)] : [],
    count: numberOf(count),
    last,
    next: beyond ? last : undefined,
  }
}

/**
 * Of a list of texts, `most` at most, a row for each SHORT_PAGE of them: as one text a long page would have to
 * be there as a whole, and be copied at once. At least one row.
 */
export const inParts = (texts: string, most: string) => ({
  text: `array_to_string(
      ${texts}[part * ${SHORT_PAGE} + 1 : least((part + 1) * ${SHORT_PAGE}, ${most})], ','
    )`,
  parts: `generate_series(0, coalesce((cardinality(${texts}) - 1) / ${SHORT_PAGE}, 0)) as part`,
})

/** A page, and the state of the list when the statement read it. */
export const readPage = async (
  sql: Sql,
  reading: Reading,
): Promise<Read & { state: string | undefined }> => {
  const { ownerId, selection, limit, signal } = reading
  const { type } = order(selection.sort)
  const values: Value[] = []
  const bind = bindTo(values)
  const [owner, most] = [bind(ownerId), `${bind(limit)}::integer`]
  const rows = ordered(bind, owner, reading, `${most} + 1`, todoJson("todos"))
  const options = { ...PREPARED, signal }
  if (limit <= SHORT_PAGE) {
    const text = `select ${pageColumns(type, most)}, ${listState(owner)} from (${rows}) as page`
    const [row = []] = await sql.pipelined.unsafe(text, values, options).raw()
    return { ...toRead(row), state: row[5]?.toString() }
  }
  const { text, parts } = inParts("todos", most)
  const found: Column[][] = await sql
    .unsafe(
      `
      select ${text}, count, ${keyText("last_key", type)}, last_id, state
      from (
        select array_agg(todo) as todos, count(*), (array_agg(key))[${most}] as last_key,
          (array_agg(id))[${most}] as last_id, ${listState(owner)} as state
        from (${rows}) as page
      ) as page
      cross join ${parts}
      order by part`,
      values,
      options,
    )
    .raw()
  const [, count, key, id, state] = found[0] ?? []
  const last = positionOf(key, id)
  return {
    // The last part may have had the one beyond alone.
    todos: found.flatMap(([part]) => (part?.length ? [part] : [])),
    count: numberOf(count),
    last,
    next: numberOf(count) > limit ? last : undefined,
    state: state?.toString(),
  }
}

/** Todos that a statement of a search looks at. With the longest texts that takes 30 ms. */
export const SLICE = 2_000

/**
 * The first matches among the SLICE todos after a position, `shown` of each. `end` is the position of the
 * last of those, unless the list ends before, or there are more matches.
 */
export const searchSlice = async (
  sql: Sql,
  q: string,
  reading: Reading,
  shown = todoJson("todos"),
): Promise<Read & { end: Position | undefined }> => {
  const { ownerId, selection, limit, signal } = reading
  const values: Value[] = []
  const bind = bindTo(values)
  const [owner, most] = [bind(ownerId), `${bind(limit)}::integer`]
  const { type } = order(selection.sort)
  const match = `case when ${matching(bind, q)} then ${shown} end`
  const endOf = (column: string) =>
    `(case when count(*) <= ${most} then (select ${column} from scanned offset ${SLICE - 1}) end)`
  const [row = []] = await sql
    .unsafe(
      `
      with scanned as materialized (
        ${ordered(bind, owner, reading, SLICE, match)}
      )
      select ${pageColumns(type, most)}, ${keyText(endOf("key"), type)}, ${endOf("id")}
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

/** All todos are counted beside the owner's revision. */
const COUNT_ALL = `
  select coalesce((select todos from revisions where owner_id = $1), 0) as count`
const COUNT = `
  select count(*)
  from todos
  where owner_id = $1
    and is_completed = $2`

export const countUnsearched = async (
  sql: Sql,
  { ownerId, selection: { isCompleted }, signal }: Omit<Reading, "limit">,
) => {
  const [row] = await (isCompleted === undefined
    ? sql.pipelined.unsafe<[{ count: number }]>(COUNT_ALL, [ownerId], PREPARED)
    : sql.unsafe<[{ count: number }]>(COUNT, [ownerId, isCompleted], { ...PREPARED, signal }))
  return row.count
}
