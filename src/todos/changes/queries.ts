/** All SQL over changes. Every statement of a request names the owner. */
import { PREPARED, type Sql } from "../../database/connect.ts"
import type { Todo } from "../members.ts"
import type { Feed, Place } from "./sync-token.ts"

/** One row, even if nothing of the owner has ever changed. */
const feedOf = (sql: Sql, ownerId: number) => sql`
  select
    epoch,
    coalesce(own.revision, 0) as feed_revision,
    coalesce(own.tombstones_forgotten_up_to, 0) as forgotten
  from epochs
  left join (
    select revision, tombstones_forgotten_up_to
    from revisions
    where owner_id = ${ownerId}
  ) as own on true`

export const findFeed = async (sql: Sql, ownerId: number): Promise<Feed> => {
  const [{ epoch, feed_revision, forgotten }] = await sql.pipelined<
    [{ epoch: string; feed_revision: number; forgotten: number }]
  >`${feedOf(sql, ownerId)}`
  return { epoch, revision: feed_revision, forgotten }
}

/** A text that is the same as long as no todo changes. `owner` is the placeholder of the owner. */
export const listState = (owner: string) => `(
  select coalesce(
    (
      select revision
      from revisions
      where owner_id = ${owner}
    ), 0) || '-' || left(epoch::text, 8)
  from epochs)`

export const findListState = async (sql: Sql, ownerId: number) => {
  const [row] = await sql.pipelined.unsafe<[{ state: string }]>(
    `select ${listState("$1")} as state`,
    [ownerId],
    PREPARED,
  )
  return row.state
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

/** A todo, or a deletion, which has no version. */
export type ChangedRow = Todo & { revision: number; version: number | null }

/** Rows. A page of this size takes a fraction of a millisecond. */
const BRIEF_LIMIT = 100

/** A page, and the state of the owner's feed: both of one snapshot. */
type Read = { feed: Feed; lastId: number; rows: ChangedRow[] }

const readPage = async (
  sql: Sql,
  ownerId: number,
  limit: number,
  lastId: ReturnType<typeof feedOf>,
  page: ReturnType<typeof feedOf>,
): Promise<Read> => {
  const tag = limit <= BRIEF_LIMIT ? sql.pipelined : sql
  const rows = await tag<
    (ChangedRow & {
      epoch: string
      feed_revision: number
      forgotten: number
      last_id: number
    })[]
  >`
    select feed.epoch, feed.feed_revision, feed.forgotten, ${lastId} as last_id,
      page.id, page.title, page.description, page.is_completed, page.created_at, page.updated_at,
      page.version, page.revision
    from (${feedOf(sql, ownerId)}) as feed
    left join (${page}) as page on true
    order by page.place, page.id`
  const [first] = rows
  if (!first) throw new Error("The database has no epoch")
  const { epoch, feed_revision, forgotten, last_id } = first
  return {
    feed: { epoch, revision: feed_revision, forgotten },
    lastId: last_id,
    rows: first.id === null ? [] : rows,
  }
}

/** The first `limit` todos after an id, up to `until` or, without that, up to the highest id. */
export const readTodos = (
  sql: Sql,
  ownerId: number,
  limit: number,
  { id, until }: { id: number; until?: number },
) =>
  readPage(
    sql,
    ownerId,
    limit,
    until === undefined
      ? sql`coalesce((select max(id) from todos where owner_id = ${ownerId}), 0)`
      : sql`${until}::bigint`,
    sql`
      select id, title, description, is_completed, created_at, updated_at, version, revision,
        0 as place
      from todos
      where owner_id = ${ownerId}
        and id > ${id}
        ${until === undefined ? sql`` : sql`and id <= ${until}`}
      order by id
      limit ${limit}`,
  )

/** The first `limit` changes after a place, ordered by revision and id. */
export const readChanges = (
  sql: Sql,
  ownerId: number,
  limit: number,
  place: Exclude<Place, { kind: "walk" }>,
) => {
  const isAfter =
    place.kind === "complete"
      ? sql`revision > ${place.revision}`
      : sql`(revision, id) > (${place.revision}, ${place.id})`
  return readPage(
    sql,
    ownerId,
    limit,
    sql`0::bigint`,
    sql`
      select id, title, description, is_completed, created_at, updated_at, version, revision,
        revision as place
      from (
        (
          select id, title, description, is_completed, created_at, updated_at, version, revision
          from todos
          where owner_id = ${ownerId}
            and revision > 0
            and ${isAfter}
          order by revision, id
          limit ${limit}
        )
        union all
        (
          select id, null, null, null, null, null, null, revision
          from deleted_todos
          where owner_id = ${ownerId}
            and ${isAfter}
          order by revision, id
          limit ${limit}
        )
      ) as changed
      order by revision, id
      limit ${limit}`,
  )
}
