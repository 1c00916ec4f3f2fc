/** Reads lists of todos in pages, and searches them in slices. SQL: queries.ts. */
import type { Sql } from "../../database/connect.ts"
import { Problem } from "../../http/problem.ts"
import type { Todo } from "../members.ts"
import type { Position } from "./cursor.ts"
import type { Selection } from "./parameters.ts"
import {
  countAll,
  countMatches,
  type Listed,
  positionAfter,
  type Range,
  readRange,
} from "./queries.ts"

export type Page = {
  todos: Todo[]
  next: Position | undefined
  /** The state of the list when it was read. Undefined if there are no todos. */
  state: string | undefined
}

/** Todos in the first slice, which is enough for most searches, and in the largest one. */
const FIRST_SLICE = 1_000
const LARGEST_SLICE = 10_000
/** How long a slice should take. With long texts it has fewer todos. */
const SLICE_MS = 50

const nextSize = (size: number, elapsedMs: number) =>
  Math.round(Math.min(LARGEST_SLICE, Math.max(FIRST_SLICE, (size * SLICE_MS) / elapsedMs)))

/**
 * A search reads every todo up to the last match. It goes through the list in slices, so that no statement
 * runs for long, and other statements run in between.
 */
async function* slices(
  sql: Sql,
  ownerId: number,
  selection: Selection,
  start: Position | undefined,
  client: AbortSignal | undefined,
): AsyncGenerator<Range & { size: number }> {
  let after = start
  for (let size = FIRST_SLICE; ; ) {
    if (client?.aborted) throw new Problem("BAD_REQUEST", "The client has left")
    const startedAt = performance.now()
    const until = await positionAfter(sql, ownerId, selection, size, after)
    yield { after, until, size }
    if (!until) return
    after = until
    size = nextSize(size, performance.now() - startedAt)
  }
}

const search = async (
  sql: Sql,
  ownerId: number,
  selection: Selection,
  limit: number,
  start: Position | undefined,
  client: AbortSignal | undefined,
) => {
  const found: Listed[] = []
  for await (const slice of slices(sql, ownerId, selection, start, client)) {
    found.push(...(await readRange(sql, ownerId, selection, limit - found.length, slice)))
    if (found.length === limit) break
  }
  return found
}

/** At most `limit` todos after a position. `next` is the position of the last one, if there are more. */
export const listTodos = async (
  sql: Sql,
  ownerId: number,
  selection: Selection,
  limit: number,
  after?: Position,
  client?: AbortSignal,
): Promise<Page> => {
  const rows =
    selection.q === undefined
      ? await readRange(sql, ownerId, selection, limit + 1, { after })
      : await search(sql, ownerId, selection, limit + 1, after, client)
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
    state: rows[0]?.state,
  }
}

export const countTodos = async (
  sql: Sql,
  ownerId: number,
  selection: Selection,
  client?: AbortSignal,
) => {
  if (selection.q === undefined) return countAll(sql, ownerId, selection.isCompleted)
  // In about the order in which they are stored, which is fastest.
  const stored: Selection = { ...selection, sort: "created_at" }
  let count = 0
  for await (const { size, ...range } of slices(sql, ownerId, stored, undefined, client))
    count += await countMatches(sql, ownerId, stored, size, range)
  return count
}
