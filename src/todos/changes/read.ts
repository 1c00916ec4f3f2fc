/** GET /todos/changes: pages by which a replica comes from any sync token to the latest change, or waits for it. */
import type { Logger } from "pino"
import { ClientLeft } from "../../concurrency/limiter.ts"
import type { Sql } from "../../database/sql.ts"
import type { Client } from "../../http/client-address.ts"
import { type AnyCaller, expectStillValid } from "../../http/guard.ts"
import { sendJson } from "../../http/json-stream.ts"
import { SHORT_PAGE } from "../lists/parameters.ts"
import { type Reads, turnToRead } from "../lists/response.ts"
import { findHead, type Read, readChanges, readTodos } from "./queries.ts"
import { type Checkpoint, checkRemembered, type Head, type SyncTokens } from "./sync-token.ts"
import type { Watcher, Watchers } from "./watchers.ts"

export type ChangesDeps = Reads & {
  sql: Sql
  syncTokens: SyncTokens
  watchers: Watchers
  log: Logger
}

type Page = { head: Head; changes: Uint8Array[]; next: Checkpoint }

const hasMore = ({ head, next }: Page) => next.kind !== "complete" || next.revision < head.revision

/** The first pages list todos by id, up to the highest id at the beginning. After them come changes. */
const initialPage = ({ head, changes, last, highestId }: Read, revision = head.revision): Page => ({
  head,
  changes,
  next:
    last && last.id < highestId
      ? { kind: "initial", revision, id: last.id, until: highestId }
      : { kind: "complete", revision },
})

const laterPage = ({ head, changes, last }: Read): Page => ({
  head,
  changes,
  next: last ? { kind: "changes", ...last } : { kind: "complete", revision: head.revision },
})

type ChangesRequest = {
  caller: AnyCaller
  client: Client
  since: string | undefined
  limit: number
  /** Seconds that the response may wait for a change. */
  wait: number
}

const changesSince = async (
  { sql, ...reads }: ChangesDeps,
  { caller, client, limit }: ChangesRequest,
  from: (Checkpoint & { epoch: string }) | undefined,
): Promise<Page> => {
  const { userId } = caller
  if (from?.kind === "complete") {
    // Usually nothing has changed, and one row says so.
    const head = await findHead(sql, userId)
    checkRemembered(from, head)
    if (from.revision === head.revision) return { head, changes: [], next: from }
  }
  const signal = () => client.signal
  const read = async () => {
    using _ = await turnToRead(reads, limit > SHORT_PAGE, userId, signal)
    if (from?.kind === "complete" || from?.kind === "changes")
      return laterPage(await readChanges(sql, userId, limit, from, signal))
    return initialPage(
      await readTodos(sql, userId, limit, from ?? { id: 0 }, signal),
      from?.revision,
    )
  }
  const page = await read()
  await expectStillValid(caller)
  if (from) checkRemembered(from, page.head)
  return page
}

const isNews = (page: Page) => page.changes.length > 0 || hasMore(page)

/** Like `changesSince`, but waits for a change if there is none. */
const awaitChanges = async (
  deps: ChangesDeps,
  request: ChangesRequest,
  from: Checkpoint & { epoch: string },
): Promise<Page> => {
  const before = await changesSince(deps, request, from)
  if (request.wait === 0 || isNews(before)) return before
  const { caller, client } = request
  const { signal } = client
  // The event of a client that has left already will not come.
  if (signal.aborted) throw new ClientLeft()
  const { promise: isChanged, resolve } = Promise.withResolvers<boolean>()
  const endWait = () => resolve(false)
  const watcher: Watcher = {
    caller,
    epoch: before.head.epoch,
    committed: (revision) => revision > before.head.revision && resolve(true),
    tick() {},
    closed: endWait,
  }
  deps.watchers.watch(watcher)
  const timer = setTimeout(endWait, request.wait * 1_000)
  signal.addEventListener("abort", endWait, { once: true })
  try {
    // Read after watching has begun, so that no commit is missed.
    const meanwhile = await changesSince(deps, request, from)
    if (isNews(meanwhile)) return meanwhile
    return (await isChanged) ? await changesSince(deps, request, from) : meanwhile
  } finally {
    clearTimeout(timer)
    signal.removeEventListener("abort", endWait)
    deps.watchers.unwatch(watcher)
  }
}

export const respondWithChanges = async (deps: ChangesDeps, request: ChangesRequest) => {
  const { caller, client, since } = request
  const { syncTokens, log } = deps
  const from = since === undefined ? undefined : syncTokens.read(since, caller.userId)
  const page = await (from ? awaitChanges(deps, request, from) : changesSince(deps, request, from))
  const token = syncTokens.write(page.next, page.head.epoch, caller.userId)
  const end = `],"next":${JSON.stringify(token)},"has_more":${hasMore(page)}}`
  return sendJson(page.changes, '{"changes":[', end, { caller, client, log })
}
