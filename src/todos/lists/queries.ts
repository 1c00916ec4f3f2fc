/** All SQL over lists of todos. Every statement names the owner. */
import { PREPARED, type Sql, type Value } from "../../database/sql.ts"
import { instantText, todoJson } from "../members.ts"
import type { Position } from "./cursor.ts"
import { type Selection, SHORT_PAGE } from "./parameters.ts"

/** A text that is the same as long as no todo of `$1` changes. */
const LIST_STATE = `(
  select coalesce(
    (
      select revision
      from revisions
      where owner_id = $1
    ), 0) || '-' || left(epoch::text, 8)
  from epochs)`

const FIND_STATE = `select ${LIST_STATE} as state`

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

const keyText = (key: string, type: string) => (type === "timestamptz" ? instantText(key) : key)

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

/** `shown` of the first `most` todos of `$1`, in order, with their positions. */
const ordered = (
  bind: Bind,
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
    where owner_id = $1
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

/** A page of todos as JSON, in texts to be joined by commas. */
export type Read = {
  todos: Uint8Array[]
  /** How many were found, the one beyond the limit included. */
  count: number
  /** The position of the last one, and the same if there are more. */
  last: Position | undefined
  next: Position | undefined
}

/** Undecoded. */
type Column = Buffer | null | undefined
export const numberOf = (column: Column) => Number(column?.toString() ?? 0)
const positionOf = (key: Column, id: Column) =>
  key ? { key: key.toString(), id: numberOf(id) } : undefined

const LIMIT = "$2::integer"

type Page = {
  /** Selects `todo`, `key` and `id` in order: one row more than the limit tells whether there are more. */
  rows: string
  keyType: string
  values: [ownerId: number, limit: number, ...Value[]]
  signal?: Reading["signal"]
  /** Further columns, and what they need beside `page`. */
  more?: string
  join?: string
  with?: string
}

/**
 * Reads a page by one statement, as texts of SHORT_PAGE todos: a longer one would have to be there as a whole,
 * and be copied at once. (The parts of one row come in order; to sort them would write them to disk.) The last
 * position is found in arrays: to number the rows would take longer.
 */
export const readTexts = async (
  sql: Sql,
  { rows, keyType, values, signal, more = "null", join = "", ...page }: Page,
): Promise<Read & { more: Column[] }> => {
  const [, limit] = values
  const isShort = limit <= SHORT_PAGE
  const last = `[least(count(*), ${LIMIT})::integer]`
  const [part, parts] = isShort
    ? [`1:${LIMIT}`, ""]
    : [
        `part * ${SHORT_PAGE} + 1 : least((part + 1) * ${SHORT_PAGE}, ${LIMIT})`,
        `cross join generate_series(0, coalesce((cardinality(todos) - 1) / ${SHORT_PAGE}, 0)) as part`,
      ]
  const tag = isShort && !page.with ? sql.pipelined : sql
  const found: Column[][] = await tag
    .unsafe(
      `
      ${page.with ?? ""}
      select array_to_string(todos[${part}], ','), count, ${keyText("last_key", keyType)}, last_id, ${more}
      from (
        select array_agg(todo) as todos, count(*), (array_agg(key))${last} as last_key,
          (array_agg(id))${last} as last_id
        from (${rows}) as page
      ) as page
      ${join}
      ${parts}`,
      values,
      { ...PREPARED, signal },
    )
    .raw()
  const [, count, key, id, ...others] = found[0] ?? []
  const position = positionOf(key, id)
  return {
    todos: found.flatMap(([text]) => (text?.length ? [text] : [])),
    count: numberOf(count),
    last: position,
    next: numberOf(count) > limit ? position : undefined,
    more: others,
  }
}

/** A page, and the state of the list when the statement read it. */
export const readPage = async (sql: Sql, reading: Reading) => {
  const { ownerId, selection, limit, signal } = reading
  const values: Page["values"] = [ownerId, limit]
  const { more, ...read } = await readTexts(sql, {
    rows: ordered(bindTo(values), reading, `${LIMIT} + 1`, todoJson("todos")),
    keyType: order(selection.sort).type,
    values,
    signal,
    more: LIST_STATE,
  })
  return { ...read, state: more[0]?.toString() }
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
  const values: Page["values"] = [ownerId, limit]
  const bind = bindTo(values)
  const keyType = order(selection.sort).type
  const match = `case when ${matching(bind, q)} then ${shown} end`
  const endOf = (column: string) =>
    `(case when count <= ${LIMIT} then (select ${column} from scanned offset ${SLICE - 1}) end)`
  const { more, ...read } = await readTexts(sql, {
    with: `with scanned as materialized (${ordered(bind, reading, SLICE, match)})`,
    rows: `select todo, key, id from scanned where todo is not null limit ${LIMIT} + 1`,
    keyType,
    values,
    signal,
    more: `${keyText(endOf("key"), keyType)}, ${endOf("id")}`,
  })
  return { ...read, end: positionOf(more[0], more[1]) }
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
