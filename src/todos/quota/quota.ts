/**
 * MAX_TODOS_PER_USER, without counting for each create. Every change of a user's todos counts their
 * revision up by one, and adds one todo at most. So whoever had `count` todos at a revision has room
 * below the revision `revision + max - count`, and that is asked of the row that a create locks
 * anyway, however many create at once, on however many instances. Beyond it, they are counted anew.
 */
import type { Sql } from "../../database/connection.ts"
import { constraintOf } from "../../database/errors.ts"
import { Problem, unavailable } from "../../errors.ts"
import { countUpTo } from "./queries.ts"

/** Users. When there are more, all are forgotten, and counted once again. */
const REMEMBERED = 100_000
/** Counting is of no use while other changes of the user take up all the room before it is asked. */
const ATTEMPTS = 20

const quotaExceeded = (max: number) =>
  new Problem("QUOTA_EXCEEDED", `A user has at most ${max} todos: delete some first`)

/** The constraint that a create breaks where the room ends: it gives the revision none. */
const NO_ROOM = "revisions_revision_range"

export const createQuota = (sql: Sql, max: number | undefined) => {
  const rooms = new Map<number, number>()

  const measure = async (ownerId: number, limit: number) => {
    const { revision, count } = await countUpTo(sql, ownerId, limit)
    if (count >= limit) throw quotaExceeded(limit)
    if (rooms.size >= REMEMBERED) rooms.clear()
    rooms.set(ownerId, revision + limit - count)
  }

  /** `create` gets the revision below which there is room. Undefined where there is no end. */
  return async <Made>(ownerId: number, create: (room: number | undefined) => Promise<Made>) => {
    if (max === undefined) return create(undefined)
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      try {
        return await create(rooms.get(ownerId) ?? 0)
      } catch (error) {
        if (constraintOf(error) !== NO_ROOM) throw error
      }
      await measure(ownerId, max)
    }
    throw unavailable("Too many changes at once, next to the limit of todos")
  }
}
export type WithinQuota = ReturnType<typeof createQuota>
