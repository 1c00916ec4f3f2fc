/**
 * The trash: deleted todos, which can be restored for TRASH_DAYS. They lie in the table of tombstones, which
 * copies learn of deletions from: what is forgotten stays a tombstone. Restoring is an operation of a batch.
 */
import { type Static, t } from "elysia"
import type { Sql } from "../database/sql.ts"
import type { Client } from "../http/client-address.ts"
import type { AnyCaller } from "../http/guard.ts"
import { inTurns, joined, patientTurns, sendJson, streamJson } from "../http/json-stream.ts"
import { badRequest } from "../http/problem.ts"
import type { Position } from "./lists/cursor.ts"
import { listQuery, PAGE_LIMIT } from "./lists/parameters.ts"
import { BRIEF_LIMIT, keyText } from "./lists/queries.ts"
import type { ListDeps } from "./lists/response.ts"
import { cleared, todoJson } from "./members.ts"
import { inTurn, type Turn, type Writer } from "./revisions.ts"
import { noSuchTodo, type WriteDeps } from "./writes.ts"

export const trashQuery = t.Object(
  { limit: listQuery.properties.limit, cursor: listQuery.properties.cursor },
  { additionalProperties: false },
)

type TrashRequest = { caller: AnyCaller; client: Client; query: Static<typeof trashQuery> }
type Headers = Record<string, string | number | undefined>

/** What cursors are bound to. */
const LIST = ["deleted"]

/** Todos in a page of a stream. */
const STREAMED_AT_ONCE = 100

/** Also sets the headers of the response. */
export const respondWithTrash = async (
  { sql, cursors, slowReads, log, trashDays }: ListDeps & Pick<WriteDeps, "trashDays">,
  { caller, client, query }: TrashRequest,
  headers: Headers,
) => {
  const { userId } = caller
  if (query.cursor !== undefined && query.limit === undefined)
    throw badRequest([{ parameter: "cursor", message: "needs limit" }])
  const limit = query.limit === undefined ? undefined : Number(query.limit)
  const start = query.cursor === undefined ? undefined : cursors.read(query.cursor, userId, LIST)
  const signal = () => client.signal
  const read = (most: number, after: Position | undefined, signal: () => AbortSignal) =>
    readTrash(sql, userId, trashDays, most, after, signal)
  const list = () => read(limit ?? PAGE_LIMIT, start, signal)
  const isSlow = limit === undefined || limit > BRIEF_LIMIT
  const { todos, next } = await (isSlow ? slowReads.run(userId, list, { signal }) : list())
  const streaming = { caller, client, log }
  if (!next || limit !== undefined) {
    if (next) {
      const parameters = new URLSearchParams({
        ...query,
        cursor: cursors.write(next, userId, LIST),
      })
      headers["link"] = `<${client.prefix}/api/v1/todos/deleted?${parameters}>; rel="next"`
    }
    return sendJson(joined([todos], "[", "]"), streaming)
  }
  return streamJson(async function* (left) {
    yield joined([todos], "[")
    const pages = (async function* () {
      for (let after: Position | undefined = next; after; ) {
        const page = await read(STREAMED_AT_ONCE, after, () => left)
        yield page.todos
        after = page.next
      }
    })()
    for await (const page of inTurns(pages, patientTurns(slowReads, userId, left)))
      yield joined([page], ",")
    yield Buffer.from("]")
  }, streaming)
}

/** Throws a 404 if the trash does not have it. */
export const forgetTodo = async (deps: WriteDeps, writer: Writer, id: number) => {
  const forget = ({ sql, ownerId, askedAt, signal }: Turn) =>
    sql.unsafe(FORGET, [ownerId, id, deps.trashDays], { prepare: true, askedAt, signal })
  const { count } = await inTurn(deps, writer, forget)
  if (count === 0) throw noSuchTodo()
}

/** In batches, because one statement for all might exceed its time limit. */
export const emptyTrash = async (deps: WriteDeps, writer: Writer) => {
  const forget = ({ sql, ownerId, askedAt, signal }: Turn) =>
    sql.unsafe(FORGET_SOME, [ownerId], { prepare: true, askedAt, signal })
  while ((await inTurn(deps, writer, forget)).count > 0);
}

const isKept = (days: string) => `deleted_at > now() - make_interval(days => ${days}::integer)`

const KEY = keyText("deleted_at", "timestamptz")
const page = (after: string) => `
  select ${todoJson("deleted_todos", ["created_at", "updated_at", "deleted_at"])} as todo,
    ${KEY} as key, id
  from deleted_todos
  where owner_id = $1
    and created_at is not null
    and ${isKept("$2")}
    ${after}
  order by deleted_at desc, id desc
  limit $3::integer + 1`
const FIRST_PAGE = page("")
const NEXT_PAGE = page("and (deleted_at, id) < ($4::timestamptz, $5::bigint)")

type Row = Position & { todo: string }

/** At most `limit` todos after a position, as JSON without brackets. */
const readTrash = async (
  sql: Sql,
  ownerId: number,
  days: number,
  limit: number,
  after: Position | undefined,
  signal: () => AbortSignal,
) => {
  const tag = limit <= BRIEF_LIMIT ? sql.pipelined : sql
  const options = { prepare: true, signal }
  const rows = await (after
    ? tag.unsafe<Row[]>(NEXT_PAGE, [ownerId, days, limit, after.key, after.id], options)
    : tag.unsafe<Row[]>(FIRST_PAGE, [ownerId, days, limit], options))
  const last = rows.length > limit ? rows[limit - 1] : undefined
  const todos = rows.slice(0, limit).map(({ todo }) => todo)
  return { todos: Buffer.from(todos.join()), next: last && { key: last.key, id: last.id } }
}

const FORGET = `
  update deleted_todos
  set ${cleared}, created_at = null, updated_at = null
  where owner_id = $1
    and created_at is not null
    and id = $2
    and ${isKept("$3")}`

const FORGET_SOME = `
  update deleted_todos
  set ${cleared}, created_at = null, updated_at = null
  where owner_id = $1
    and created_at is not null
    and (revision, id) in (
      select revision, id
      from deleted_todos
      where owner_id = $1
        and created_at is not null
      order by deleted_at, id
      limit 5000
    )`

const FORGET_EXPIRED = `
  update deleted_todos
  set ${cleared}, created_at = null, updated_at = null
  where created_at is not null
    and (owner_id, revision, id) in (
      select owner_id, revision, id
      from deleted_todos
      where created_at is not null
        and not ${isKept("$1")}
      order by deleted_at
      limit $2
    )`

/** Forgets about `limit` todos, of all owners, that cannot be restored any more. Returns how many. */
export const forgetExpired = (days: number) => async (sql: Sql, limit: number) =>
  (await sql.unsafe(FORGET_EXPIRED, [days, limit], { prepare: true })).count
