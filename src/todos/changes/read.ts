/** Pages of changes, by which a client brings its copy from any state to the latest one. */
import type { Sql } from "../../database/connect.ts"
import { entityTag } from "../../http/entity-tag.ts"
import { type ChangedRow, findFeed, readChanges, readTodos } from "./queries.ts"
import type { ChangesPage } from "./schemas.ts"
import { checkPlace, type Feed, type Place, type States } from "./sync-token.ts"

export type ChangesDeps = { sql: Sql; states: States }

/**
 * Changes. While others write, a client fetches until it has reached the latest change. If they write
 * faster than it fetches, `has_more` ends this far beyond the latest change of the beginning.
 */
const FAR_ENOUGH = 1_000

type Page = { feed: Feed; rows: ChangedRow[]; next: Place; hasMore: boolean }

/** The first pages list todos by id, up to the highest id at the beginning. After them come changes. */
const walk = async (
  sql: Sql,
  ownerId: number,
  limit: number,
  place?: Extract<Place, { kind: "walk" }>,
): Promise<Page> => {
  const { feed, lastId, rows } = await readTodos(sql, ownerId, limit, place ?? { id: 0 })
  const revision = place?.revision ?? feed.revision
  const id = rows.length < limit ? lastId : (rows.at(-1)?.id ?? lastId)
  return id < lastId
    ? { feed, rows, next: { kind: "walk", revision, id, until: lastId }, hasMore: true }
    : { feed, rows, next: { kind: "complete", revision }, hasMore: feed.revision > revision }
}

const changesAfter = async (
  sql: Sql,
  ownerId: number,
  limit: number,
  place: Exclude<Place, { kind: "walk" }>,
): Promise<Page> => {
  const { feed, rows } = await readChanges(sql, ownerId, limit, place)
  const last = rows[limit - 1]
  if (!last) {
    const next: Place = { kind: "complete", revision: feed.revision }
    return { feed, rows, next, hasMore: false }
  }
  const until = place.kind === "changes" && place.until > 0 ? place.until : feed.revision
  const hasMore = last.revision <= until + FAR_ENOUGH
  const { revision, id } = last
  // `until: 0`: if the client comes back later, the limit is set again.
  return {
    feed,
    rows,
    next: { kind: "changes", revision, id, until: hasMore ? until : 0 },
    hasMore,
  }
}

const toChange = (row: ChangedRow) => {
  const { id, title, description, is_completed, created_at, updated_at, version } = row
  if (version === null) return { id, etag: null, todo: null }
  const todo = { id, title, description, is_completed, created_at, updated_at }
  return { id, etag: entityTag(version), todo }
}

export const changesSince = async (
  { sql, states }: ChangesDeps,
  ownerId: number,
  since: string | undefined,
  limit: number,
): Promise<ChangesPage> => {
  const place = since === undefined ? undefined : states.read(since, ownerId)
  if (place?.kind === "complete") {
    // Usually nothing has changed, and one row tells so.
    const feed = await findFeed(sql, ownerId)
    checkPlace(place, feed)
    if (since !== undefined && place.revision === feed.revision)
      return { changes: [], next: since, has_more: false }
  }
  const { feed, rows, next, hasMore } =
    place === undefined || place.kind === "walk"
      ? await walk(sql, ownerId, limit, place)
      : await changesAfter(sql, ownerId, limit, place)
  if (place) checkPlace(place, feed)
  return {
    changes: rows.map(toChange),
    next: states.write(next, feed.epoch, ownerId),
    has_more: hasMore,
  }
}
