/** All SQL over changes. Every statement of a request names the owner. */
import { PREPARED, type Sql, type Value } from "../../database/sql.ts"
import { numberOf, readTexts } from "../lists/queries.ts"
import { todoJson } from "../members.ts"
import type { Checkpoint, Head } from "./sync-token.ts"

/** One row, even if nothing of the owner has ever changed. */
const HEAD = `
  select epoch, coalesce(revision, 0) as revision, coalesce(tombstones_forgotten_up_to, 0) as "forgottenUpTo"
  from epochs
  left join revisions on owner_id = $1`

export const findHead = async (sql: Sql, ownerId: number): Promise<Head> => {
  const [head] = await sql.pipelined.unsafe<[Head]>(HEAD, [ownerId], PREPARED)
  return head
}

/** The revisions of those owners whose todos have ever changed; one row without an owner if none. */
export const currentRevisions = (sql: Sql, ownerIds: number[]) => sql<
  { epoch: string; owner_id: number | null; revision: number }[]
>`
  select epoch, owner_id, revision
  from epochs
  left join (
    select owner_id, revision
    from revisions
    where owner_id = any(${`{${ownerIds.join()}}`}::bigint[])
  ) as own on true`

/** The same one for the same name, so that several instances do it once. */
export const renewEpoch = (sql: Sql, name: string) => sql`
  update epochs
  set epoch = md5(${name})::uuid
  where epoch <> md5(${name})::uuid`

/** A change as JSON. The tag is written as entityTag does, with quotes that are escaped. */
const CHANGED = `'{"id":' || id || E',"etag":"\\\\"' || version || E'\\\\"","todo":'
  || ${todoJson("todos")} || '}'`
const DELETED = `'{"id":' || id || ',"etag":null,"todo":null}'`

/** Changes as JSON, in texts to be joined by commas. */
export type Read = {
  head: Head
  changes: Uint8Array[]
  /** The last one, if there are as many as were asked for. */
  last: { revision: number; id: number } | undefined
  /** The highest id, where it was asked for. */
  highestId: number
}

type Signal = () => AbortSignal

/** A page, and the head of the owner's changes: both of one snapshot. `$1` is the owner, `$2` the limit. */
const readPage = async (
  sql: Sql,
  rows: string,
  highestId: string,
  values: [ownerId: number, limit: number, ...Value[]],
  signal: Signal,
): Promise<Read> => {
  const [, limit] = values
  const { todos, count, last, more } = await readTexts(sql, {
    rows,
    keyType: "bigint",
    values,
    signal,
    more: `head.*, ${highestId}`,
    join: `cross join (${HEAD}) as head`,
  })
  const [epoch, revision, forgottenUpTo, highest] = more
  if (!epoch) throw new Error("The database has no epoch")
  return {
    head: {
      epoch: epoch.toString(),
      revision: numberOf(revision),
      forgottenUpTo: numberOf(forgottenUpTo),
    },
    changes: todos,
    last: last && count === limit ? { revision: Number(last.key), id: last.id } : undefined,
    highestId: numberOf(highest),
  }
}

/** Every id is less, or this one. */
const HIGHEST_ID = Number.MAX_SAFE_INTEGER

const TODOS = `
  select ${CHANGED} as todo, revision as key, id
  from todos
  where owner_id = $1
    and id > $3::bigint
    and id <= coalesce($4::bigint, ${HIGHEST_ID})
  order by id
  limit $2::integer`

/** The first `limit` todos after an id, up to `until` or, without that, up to the highest id. */
export const readTodos = (
  sql: Sql,
  ownerId: number,
  limit: number,
  { id, until }: { id: number; until?: number },
  signal: Signal,
) => {
  const highest = "coalesce($4::bigint, (select max(id) from todos where owner_id = $1), 0)"
  return readPage(sql, TODOS, highest, [ownerId, limit, id, until ?? null], signal)
}

const changesOf = (table: string, change: string) => `
  select ${change} as todo, revision as key, id
  from ${table}
  where owner_id = $1
    and (revision, id) > ($3::bigint, $4::bigint)
  order by revision, id
  limit $2::integer`

const CHANGES = `
  select todo, key, id
  from (
    (${changesOf("todos", CHANGED)})
    union all
    (${changesOf("deleted_todos", DELETED)})
  ) as changed
  order by key, id
  limit $2::integer`

/** The first `limit` changes after a checkpoint, ordered by revision and id. */
export const readChanges = (
  sql: Sql,
  ownerId: number,
  limit: number,
  checkpoint: Exclude<Checkpoint, { kind: "initial" }>,
  signal: Signal,
) => {
  const id = checkpoint.kind === "complete" ? HIGHEST_ID : checkpoint.id
  return readPage(sql, CHANGES, "0::bigint", [ownerId, limit, checkpoint.revision, id], signal)
}

/** The owners of the oldest expired deletions, with the revision of their last one: of all owners. */
const EXPIRED_TOMBSTONES = `
  select owner_id, max(revision) as revision
  from (
    select owner_id, revision
    from deleted_todos
    -- Their content was forgotten before: TRASH_DAYS is at most 90.
    where created_at is null
      and deleted_at < now() - interval '90 days'
    order by deleted_at
    limit $1
  ) as expired
  group by owner_id`

/** The same statement writes up to which revision, so that clients that miss one of them learn of it. */
const forgetDeletions = async (sql: Sql, ownerId: number, revision: number) => {
  const [row] = await sql<[{ count: number }]>`
    with expired as (
      delete from deleted_todos
      where owner_id = ${ownerId}
        and revision <= ${revision}
      returning id
    ), forgotten as (
      update revisions
      set tombstones_forgotten_up_to = greatest(tombstones_forgotten_up_to, ${revision}::bigint)
      where owner_id = ${ownerId}
        and exists (select from expired)
    )
    select count(*)
    from expired`
  return row.count
}

/** Deletes about `limit` deletions, of all owners, one after the other. Returns how many. */
export const deleteExpiredTombstones = async (sql: Sql, limit: number) => {
  let count = 0
  const rows = await sql.unsafe<{ owner_id: number; revision: number }[]>(
    EXPIRED_TOMBSTONES,
    [limit],
    PREPARED,
  )
  for (const { owner_id, revision } of rows) count += await forgetDeletions(sql, owner_id, revision)
  return count
}
