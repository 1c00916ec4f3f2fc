/** Answers with a list: a page with a link to the next one, or all pages as one stream. */
import type { Logger } from "pino"
import type { Sql } from "../../database/connect.ts"
import { matchesWeakly } from "../../http/entity-tag.ts"
import { Problem } from "../../http/problem.ts"
import { findListState } from "../changes/queries.ts"
import type { Cursors, Position } from "./cursor.ts"
import { countTodos, listTodos, type Page } from "./pages.ts"
import { type ListQuery, PAGE_LIMIT, readListQuery } from "./parameters.ts"
import type { SearchLimiter } from "./search-limiter.ts"

/** RFC 8288. All parameters stay the same, except for the cursor. */
const nextLink = (query: ListQuery, cursor: string) =>
  `</api/v1/todos?${new URLSearchParams({ ...query, cursor })}>; rel="next"`

const JSON_HEADERS = { "content-type": "application/json" }

const pageAnswer = ({ todos }: Page) =>
  new Response(JSON.stringify(todos), { headers: JSON_HEADERS })

/**
 * Todos in a page of a stream, except for the first page, which has PAGE_LIMIT and is all that most users
 * have. Streaming a million todos took 89 MiB with pages of 1,000, and 51 MiB, as fast, with pages of 100.
 */
const STREAMED_AT_ONCE = 100

/**
 * Streams one JSON array of all pages. A page is read when the client has taken the previous one. So a slow
 * client costs no connection to the database and one page of memory, and for a client that leaves nothing
 * more is read. A failure resets the connection, so that the array never looks complete.
 */
const streamAnswer = (
  first: Page,
  pageAfter: (position: Position) => Promise<Page>,
  log: Logger,
) => {
  const encoder = new TextEncoder()
  let fetchPage = async () => first
  let separator = "["
  const pull = async (controller: ReadableStreamDefaultController<Uint8Array>) => {
    const { todos, next } = await fetchPage().catch((error: unknown) => {
      if (!(error instanceof Problem)) log.error({ err: error }, "a streamed list ended early")
      throw error
    })
    const members = JSON.stringify(todos).slice(1, -1)
    const text = members && separator + members
    controller.enqueue(encoder.encode(next ? text : `${text}]`))
    separator = ","
    if (next) fetchPage = () => pageAfter(next)
    else controller.close()
  }
  return new Response(new ReadableStream({ pull }, { highWaterMark: 0 }), { headers: JSON_HEADERS })
}

/** A weak tag, because a list that changes while it is streamed may contain a part of the change. */
export const listTag = (state: string) => `W/"${state}"`

export type ListDeps = { sql: Sql; cursors: Cursors; limitSearches: SearchLimiter; log: Logger }
type Headers = Record<string, string | number | undefined>

/** A page and the state of the list, which must not be later than the page. */
const withState = async (
  sql: Sql,
  userId: number,
  list: () => Promise<Page>,
  first: string | undefined,
) => {
  const page = await list()
  const state = first ?? page.state
  if (state !== undefined) return { page, state }
  // The state comes with the todos, and there were none.
  return { state: await findListState(sql, userId), page: await list() }
}

/** Also sets the headers of the answer. */
export const listAnswer = async (
  { sql, cursors, limitSearches, log }: ListDeps,
  userId: number,
  query: ListQuery,
  request: Request,
  headers: Headers,
) => {
  const { selection, limit, wantsCount } = readListQuery(query)
  const after =
    query.cursor === undefined ? undefined : cursors.read(query.cursor, userId, selection)
  const ifNoneMatch = request.headers.get("if-none-match")
  // To compare with If-None-Match, and to be older than all statements if there are several.
  const comesFirst = ifNoneMatch !== null || wantsCount || selection.q !== undefined
  const first = comesFirst ? await findListState(sql, userId) : undefined
  if (first !== undefined && matchesWeakly(ifNoneMatch, listTag(first))) {
    headers["etag"] = listTag(first)
    return new Response(null, { status: 304 })
  }
  // Accessing the signal takes time, and only searches need it.
  const client = selection.q === undefined ? undefined : request.signal
  const limited = <Result>(work: () => Promise<Result>, isBegun = false) =>
    client === undefined ? work() : limitSearches(userId, work, isBegun)
  const list = () =>
    limited(() => listTodos(sql, userId, selection, limit ?? PAGE_LIMIT, after, client))
  const [{ page, state }, count] = await Promise.all([
    withState(sql, userId, list, first),
    wantsCount ? limited(() => countTodos(sql, userId, selection, client)) : undefined,
  ])
  headers["etag"] = listTag(state)
  if (count !== undefined) headers["x-total-count"] = String(count)
  if (!page.next) return pageAnswer(page)
  if (limit === undefined) {
    const pageAfter = (position: Position) =>
      limited(() => listTodos(sql, userId, selection, STREAMED_AT_ONCE, position, client), true)
    return streamAnswer(page, pageAfter, log)
  }
  headers["link"] = nextLink(query, cursors.write(page.next, userId, selection))
  return pageAnswer(page)
}
