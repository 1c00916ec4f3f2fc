/** Reads lists of todos in pages, and searches them in slices. SQL: queries.ts. */
import type { Sql } from "../../database/connect.ts"
import { ClientLeft } from "../../database/errors.ts"
import { joined } from "../../http/json-stream.ts"
import type { Position } from "./cursor.ts"
import { PAGE_LIMIT } from "./parameters.ts"
import { countUnsearched, type Reading, readPage, SLICE, searchSlice } from "./queries.ts"

/** `todos` is JSON without brackets. `next` is the position of the last one, if there are more. */
export type Page = {
  todos: Uint8Array
  next: Position | undefined
  /** The state of the list when it was read. Undefined for a search, which takes several statements. */
  state?: string | undefined
}

const checkPresence = ({ signal }: Reading) => {
  if (signal?.().aborted) throw new ClientLeft()
}

/**
 * A search reads every todo up to the last match. It goes through the list in slices, so that no statement
 * runs for long, and other statements run in between.
 */
const search = async (sql: Sql, q: string, reading: Reading): Promise<Page> => {
  const found: Uint8Array[] = []
  let { limit, after } = reading
  let last: Position | undefined
  for (;;) {
    checkPresence(reading)
    const slice = await searchSlice(sql, q, { ...reading, limit, after })
    found.push(slice.todos)
    last = slice.last ?? last
    if (slice.hasMore) return { todos: joined(found), next: last }
    if (!slice.end) return { todos: joined(found), next: undefined }
    limit -= slice.count
    after = slice.end
  }
}

export const listTodos = async (sql: Sql, reading: Reading): Promise<Page> => {
  const { q } = reading.selection
  if (q !== undefined) return search(sql, q, reading)
  const { todos, last, hasMore, state } = await readPage(sql, reading)
  return { todos, next: hasMore ? last : undefined, state }
}

export const countTodos = async (sql: Sql, reading: Reading) => {
  const { q } = reading.selection
  if (q === undefined) return countUnsearched(sql, reading)
  let count = 0
  let after: Position | undefined
  // In about the order in which they are stored, which is fastest.
  const selection = { ...reading.selection, sort: "created_at" as const }
  do {
    checkPresence(reading)
    const slice = await searchSlice(sql, q, { ...reading, selection, limit: SLICE, after }, "''")
    count += slice.count
    after = slice.end
  } while (after)
  return count
}

/** A page of a stream: long enough to be worth its statement, and short in memory. */
const STREAMED_BYTES = 128 * 1024
const FIRST_STREAMED = 100

/** The todos of all pages after a position, for a client that may leave. */
export async function* pagesAfter(
  sql: Sql,
  reading: Omit<Reading, "limit" | "signal">,
  client: AbortSignal,
) {
  let { after } = reading
  let limit = FIRST_STREAMED
  const signal = () => client
  do {
    const { todos, next } = await listTodos(sql, { ...reading, limit, after, signal })
    yield todos
    after = next
    limit = Math.ceil(Math.min(PAGE_LIMIT, (limit * STREAMED_BYTES) / (todos.length + 1)))
  } while (after)
}
