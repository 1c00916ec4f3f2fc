/** A list as an HTTP answer: a page with the link to the next one, or all pages as one stream. */
import type { Logger } from "pino"
import type { Sql } from "../../database/connection.ts"
import { Problem } from "../../errors.ts"
import { matchesWeakly } from "../../http/response/entity-tag.ts"
import { findListState } from "../sync/queries.ts"
import type { Cursors, Position } from "./cursor.ts"
import { countTodos, listTodos, type Page } from "./lists.ts"
import { type ListQuery, PAGE_LIMIT, readListQuery } from "./model.ts"
import type { SearchLimiter } from "./search-limiter.ts"

/** RFC 8288. All parameters stay as they were, but for the cursor. */
const nextLink = (query: ListQuery, cursor: string) =>
  `</api/v1/todos?${new URLSearchParams({ ...query, cursor })}>; rel="next"`

const JSON_HEADERS = { "content-type": "application/json" }

const pageAnswer = ({ todos }: Page) =>
  new Response(JSON.stringify(todos), { headers: JSON_HEADERS })

/**
 * Todos, after a first page that is as long as any and so answers most users at once. Streaming a
 * million by pages of 1,000 took up to 89 MiB of memory; by pages of 100 it took 51, as fast.
 */
const STREAMED_AT_ONCE = 100

/**
 * One JSON array of all pages. A page is fetched when the client has taken the one before, so a
 * slow client holds no connection to the database and no more than a page of memory, and one that
 * leaves asks for no more. A failure resets the connection: the array never looks complete.
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

/** Weak: a list that changes while it is streamed may have a part of the change. */
export const listTag = (state: string) => `W/"${state}"`

export type ListDeps = { sql: Sql; cursors: Cursors; limitSearches: SearchLimiter; log: Logger }
type Headers = Record<string, string | number | undefined>

/** A page with the state of the list, which must not be a later one than what is listed. */
const withState = async (
  sql: Sql,
  userId: number,
  list: () => Promise<Page>,
  first: string | undefined,
) => {
  const page = await list()
  const state = first ?? page.state
  if (state !== undefined) return { page, state }
  // No todo told it: there was none.
  return { state: await findListState(sql, userId), page: await list() }
}

/** Sets the headers that tell of more than the page. */
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
  // Whoever knows a state is answered from it alone. What takes several statements has its own first.
  const comesFirst = ifNoneMatch !== null || wantsCount || selection.q !== undefined
  const first = comesFirst ? await findListState(sql, userId) : undefined
  if (first !== undefined && matchesWeakly(ifNoneMatch, listTag(first))) {
    headers["etag"] = listTag(first)
    return new Response(null, { status: 304 })
  }
  // To make the signal takes time, which only searches need.
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
