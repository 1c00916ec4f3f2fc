/** Reads lists of todos in pages, and searches them in slices. SQL: queries.ts. */
import { ClientLeft } from "../../concurrency/limiter.ts"
import type { Sql } from "../../database/sql.ts"
import type { Position } from "./cursor.ts"
import { countUnsearched, type Reading, readPage, SLICE, searchSlice } from "./queries.ts"

/** `todos` are JSON, to be joined by commas. `next` is the position of the last one, if there are more. */
export type Page = {
  todos: Uint8Array[]
  next: Position | undefined
  /** The state of the list when it was read. Undefined where that took several statements. */
  state?: string | undefined
}

const checkPresence = ({ signal }: Pick<Reading, "signal">) => {
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
    found.push(...slice.todos)
    last = slice.last ?? last
    if (!slice.end) return { todos: found, next: slice.count > limit ? last : undefined }
    limit -= slice.count
    after = slice.end
  }
}

export const listTodos = async (sql: Sql, reading: Reading): Promise<Page> => {
  const { q } = reading.selection
  return q === undefined ? readPage(sql, reading) : search(sql, q, reading)
}

export const countTodos = async (sql: Sql, reading: Omit<Reading, "limit">) => {
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
