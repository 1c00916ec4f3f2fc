/**
 * The trash: deleted todos, which can be restored for TRASH_DAYS. They lie in the table of tombstones, which
 * replicas learn of deletions from: what is forgotten stays a tombstone. Restoring is an operation of a batch.
 */
import { t } from "elysia"
import { PREPARED, type Sql, type Value } from "../database/sql.ts"
import { expectStillValid } from "../http/guard.ts"
import { listQuery } from "./lists/parameters.ts"
import { readTexts } from "./lists/queries.ts"
import type { Headers, ListDeps, PageRequest, ReadPage } from "./lists/response.ts"
import { readStart, respondWithPages } from "./lists/response.ts"
import { cleared, todoJson } from "./members.ts"
import { inTurn, type Writer } from "./revisions.ts"
import { noSuchTodo, type WriteDeps } from "./writes.ts"

export const trashQuery = t.Pick(listQuery, ["limit", "cursor"])

/** What cursors are bound to. */
const LIST = ["deleted"]

/** Also sets the headers of the response. */
export const respondWithTrash = async (
  deps: ListDeps & Pick<WriteDeps, "trashDays">,
  request: PageRequest,
  headers: Headers,
) => {
  const start = readStart(deps, request, LIST)
  const read = readTrash(deps.sql, request.caller.userId, deps.trashDays)
  const pages = { path: "/todos/deleted", list: LIST, read }
  const { response } = await respondWithPages(deps, request, pages, start, headers)
  await expectStillValid(request.caller)
  return response
}

const forget = (deps: WriteDeps, writer: Writer, text: string, ...values: Value[]) =>
  inTurn(deps, writer, async ({ sql, ownerId, options }) => {
    return (await sql.unsafe(text, [ownerId, ...values], options)).count
  })

/** Throws a 404 if the trash does not have it. */
export const forgetTodo = async (deps: WriteDeps, writer: Writer, id: number) => {
  if ((await forget(deps, writer, FORGET, id, deps.trashDays)) === 0) throw noSuchTodo()
}

/** In batches, because one statement for all might exceed its time limit. */
export const emptyTrash = async (deps: WriteDeps, writer: Writer) => {
  while ((await forget(deps, writer, FORGET_SOME)) > 0);
}

const isKept = (days: string) => `deleted_at > now() - make_interval(days => ${days}::integer)`

const readTrash =
  (sql: Sql, ownerId: number, days: number): ReadPage =>
  (limit, after, signal) =>
    readTexts(sql, {
      rows: `
      select ${todoJson("deleted_todos", ["created_at", "updated_at", "deleted_at"])} as todo,
        deleted_at as key, id
      from deleted_todos
      where owner_id = $1
        and created_at is not null
        and ${isKept("$3")}
        ${after ? "and (deleted_at, id) < ($4::timestamptz, $5::bigint)" : ""}
      order by deleted_at desc, id desc
      limit $2::integer + 1`,
      keyType: "timestamptz",
      values: [ownerId, limit, days, ...(after ? [after.key, after.id] : [])],
      signal,
    })

const FORGET = `
  update deleted_todos
  set ${cleared}
  where created_at is not null
    and owner_id = $1
    and id = $2
    and ${isKept("$3")}`

/**
 * Locks by id, as batches do, so that they do not deadlock. By a range, because a join would compare each with
 * each while the statistics know of few rows.
 */
const FORGET_SOME = `
  with chosen as (
    select id
    from deleted_todos
    where owner_id = $1
      and created_at is not null
    order by id
    limit 5000
    for update
  )
  update deleted_todos
  set ${cleared}
  where owner_id = $1
    and created_at is not null
    and id <= (select max(id) from chosen)`

const FORGET_EXPIRED = `
  update deleted_todos
  set ${cleared}
  where created_at is not null
    and deleted_at <= (
      select max(deleted_at)
      from (
        select deleted_at
        from deleted_todos
        where created_at is not null
          and not ${isKept("$1")}
        order by deleted_at
        limit $2
      ) as oldest
    )`

/** Forgets about `limit` todos, of all owners, that cannot be restored any more. Returns how many. */
export const forgetExpired = (days: number) => async (sql: Sql, limit: number) =>
  (await sql.unsafe(FORGET_EXPIRED, [days, limit], PREPARED)).count
