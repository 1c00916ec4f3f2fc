/** Responses with a list: a page with a link to the next one, or all pages as one stream. */
import type { Logger } from "pino"
import type { Limiter } from "../../concurrency/limiter.ts"
import type { Sql } from "../../database/connect.ts"
import type { Client } from "../../http/client-address.ts"
import { matchesWeakly } from "../../http/entity-tag.ts"
import type { AnyCaller } from "../../http/guard.ts"
import { inTurns, joined, patientTurns, sendJson, streamJson } from "../../http/json-stream.ts"
import type { Cursors, ListTags } from "./cursor.ts"
import { countTodos, listTodos, pagesAfter } from "./pages.ts"
import { type ListQuery, listOf, PAGE_LIMIT, readListQuery } from "./parameters.ts"
import { BRIEF_LIMIT, findListState } from "./queries.ts"

export type ListDeps = {
  sql: Sql
  cursors: Cursors
  tagOf: ListTags
  slowReads: Limiter<number>
  log: Logger
}

type Headers = Record<string, string | number | undefined>
type ListRequest = {
  caller: AnyCaller
  client: Client
  query: ListQuery
  ifNoneMatch: string | null
}

/** RFC 8288. All parameters stay the same, except for the cursor. */
const nextLink = (prefix: string, query: ListQuery, cursor: string) =>
  `<${prefix}/api/v1/todos?${new URLSearchParams({ ...query, cursor })}>; rel="next"`

/** Also sets the headers of the response. */
export const respondWithList = async (
  { sql, cursors, tagOf, slowReads, log }: ListDeps,
  { caller, client, query, ifNoneMatch }: ListRequest,
  headers: Headers,
) => {
  const { userId } = caller
  const { selection, limit, wantsCount } = readListQuery(query)
  const after =
    query.cursor === undefined ? undefined : cursors.read(query.cursor, userId, listOf(selection))
  // To compare with If-None-Match, and to be older than all statements if there are several.
  const comesFirst = ifNoneMatch !== null || wantsCount || selection.q !== undefined
  const first = comesFirst ? tagOf(userId, await findListState(sql, userId)) : undefined
  if (first !== undefined && matchesWeakly(ifNoneMatch, first)) {
    headers["etag"] = first
    return new Response(null, { status: 304 })
  }
  const signal = () => client.signal
  const reading = { ownerId: userId, selection, limit: limit ?? PAGE_LIMIT, after, signal }
  const inTurn = <Result>(isSlow: boolean, read: () => Promise<Result>) =>
    isSlow ? slowReads.run(userId, read, { signal }) : read()
  const isSearch = selection.q !== undefined
  const [{ todos, next, state = "" }, total] = await Promise.all([
    inTurn(isSearch || limit === undefined || limit > BRIEF_LIMIT, () => listTodos(sql, reading)),
    wantsCount
      ? inTurn(isSearch || selection.isCompleted !== undefined, () => countTodos(sql, reading))
      : undefined,
  ])
  headers["etag"] = first ?? tagOf(userId, state)
  if (total !== undefined) headers["x-total-count"] = String(total)
  const streaming = { caller, client, log }
  if (next && limit === undefined)
    return streamJson(async function* (left) {
      yield joined([todos], "[")
      const pages = pagesAfter(sql, { ownerId: userId, selection, after: next }, left)
      for await (const page of inTurns(pages, patientTurns(slowReads, userId, left)))
        if (page.length > 0) yield joined([page], ",")
      yield Buffer.from("]")
    }, streaming)
  if (next) {
    const cursor = cursors.write(next, userId, listOf(selection))
    headers["link"] = nextLink(client.prefix, query, cursor)
  }
  return sendJson(joined([todos], "[", "]"), streaming)
}
