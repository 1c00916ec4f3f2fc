/** Responses with a list: a page with a link to the next one, or all pages as one stream. */
import type { Logger } from "pino"
import type { Limiter } from "../../concurrency/limiter.ts"
import type { Sql } from "../../database/sql.ts"
import type { Client } from "../../http/client-address.ts"
import { matchesWeakly } from "../../http/entity-tag.ts"
import { type AnyCaller, expectStillValid } from "../../http/guard.ts"
import { inTurns, joined, joinedParts, sendJson, streamJson } from "../../http/json-stream.ts"
import { badRequest } from "../../http/problem.ts"
import type { Cursors, ListTags, Position } from "./cursor.ts"
import { countTodos, listTodos, type Page } from "./pages.ts"
import { type ListQuery, listOf, PAGE_LIMIT, SHORT_PAGE, selectionOf } from "./parameters.ts"
import { findListState } from "./queries.ts"

/** Reads at most `limit` todos after a position. */
export type ReadPage = (
  limit: number,
  after: Position | undefined,
  signal: () => AbortSignal,
) => Promise<Page>

/** A page of a stream: long enough to be worth its statement, and short in memory. */
const STREAMED_BYTES = 128 * 1024
const FIRST_STREAMED = 100

/** The todos of all pages after a position, for a client that may leave. */
export async function* pagesAfter(
  read: ReadPage,
  start: Position | undefined,
  client: AbortSignal,
) {
  let after = start
  let limit = FIRST_STREAMED
  do {
    const { todos, next } = await read(limit, after, () => client)
    const page = joined(todos)
    yield page
    after = next
    limit = Math.ceil(Math.min(PAGE_LIMIT, (limit * STREAMED_BYTES) / (page.length + 1)))
  } while (after)
}

export type Reads = { slowReads: Limiter<number>; shortReads: Limiter<number> }

/** What is short goes on without a turn if that is late: where the database hangs, the client hears so in time. */
export const turnToRead = (
  { slowReads, shortReads }: Reads,
  isSlow: boolean,
  userId: number,
  signal: () => AbortSignal,
): Promise<Disposable | undefined> =>
  isSlow
    ? slowReads.acquire(userId, { signal })
    : shortReads.acquire(userId, { signal }).catch((reason) => {
        if (reason !== "late") throw reason
        return undefined
      })
type PageDeps = Reads & { cursors: Cursors; log: Logger }
export type ListDeps = PageDeps & { sql: Sql; tagOf: ListTags }

type PageQuery = { limit?: string; cursor?: string }
export type PageRequest = { caller: AnyCaller; client: Client; query: PageQuery }

/** A list in pages. */
type Pages = {
  path: string
  /** What its cursors are bound to. */
  list: readonly unknown[]
  read: ReadPage
  /** Whether a short page may take long, too. */
  isSearch?: boolean
}

/** Where the request begins to read. Throws a 400 if that is nowhere. */
export const readStart = (
  { cursors }: PageDeps,
  { caller, query: { limit, cursor } }: PageRequest,
  list: readonly unknown[],
) => {
  if (cursor === undefined) return undefined
  if (limit === undefined) throw badRequest([{ parameter: "cursor", message: "needs limit" }])
  return cursors.read(cursor, caller.userId, list)
}

/** Also sets the link to the next page (RFC 8288): its parameters are the same, except for the cursor. */
export const respondWithPages = async (
  { cursors, log, ...reads }: PageDeps,
  { caller, client, query }: PageRequest,
  { path, list, read, isSearch = false }: Pages,
  start: Position | undefined,
  headers: Headers,
) => {
  const { userId } = caller
  const limit = query.limit === undefined ? undefined : Number(query.limit)
  const signal = () => client.signal
  const isSlow = isSearch || limit === undefined || limit > SHORT_PAGE
  using _ = await turnToRead(reads, isSlow, userId, signal)
  const { todos, next, state } = await read(limit ?? PAGE_LIMIT, start, signal)
  const streaming = { caller, client, log }
  if (next && limit === undefined) {
    const all = async function* (left: AbortSignal) {
      yield* todos
      yield* inTurns(pagesAfter(read, next, left), reads.slowReads, userId, left)
    }
    const response = streamJson((left) => joinedParts(all(left), "[", "]"), streaming)
    return { response, state }
  }
  if (next) {
    const parameters = new URLSearchParams({ ...query, cursor: cursors.write(next, userId, list) })
    headers["link"] = `<${client.prefix}/api/v1${path}?${parameters}>; rel="next"`
  }
  return { response: sendJson(todos, "[", "]", streaming), state }
}

export type Headers = Record<string, string | number | undefined>
type ListRequest = PageRequest & { query: ListQuery; ifNoneMatch: string | null }

/** Also sets the headers of the response. */
export const respondWithList = async (deps: ListDeps, request: ListRequest, headers: Headers) => {
  const { sql, slowReads, tagOf } = deps
  const { caller, client, query, ifNoneMatch } = request
  const ownerId = caller.userId
  const selection = selectionOf(query)
  const list = listOf(selection)
  const start = readStart(deps, request, list)
  const [isSearch, wantsCount] = [selection.q !== undefined, query.count === "true"]
  // To compare with If-None-Match, and to be older than all statements if there are several.
  const comesFirst = ifNoneMatch !== null || wantsCount || isSearch
  const tag = comesFirst ? tagOf(ownerId, await findListState(sql, ownerId)) : undefined
  if (tag !== undefined && matchesWeakly(ifNoneMatch, tag)) {
    headers["etag"] = tag
    return new Response(null, { status: 304 })
  }
  const read: ReadPage = (limit, after, signal) =>
    listTodos(sql, { ownerId, selection, limit, after, signal })
  const count = () => countTodos(sql, { ownerId, selection, signal: () => client.signal })
  const isSlowCount = isSearch || selection.isCompleted !== undefined
  const [{ response, state = "" }, total] = await Promise.all([
    respondWithPages(deps, request, { path: "/todos", list, read, isSearch }, start, headers),
    wantsCount
      ? isSlowCount
        ? slowReads.run(ownerId, count, { signal: () => client.signal })
        : count()
      : undefined,
  ])
  await expectStillValid(caller)
  headers["etag"] = tag ?? tagOf(ownerId, state)
  if (total !== undefined) headers["x-total-count"] = String(total)
  return response
}
