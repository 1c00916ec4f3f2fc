/**
 * MAX_TODOS_PER_USER, without counting for each create. Every change of a user's todos counts their
 * revision up by one, and adds one todo at most. So whoever had `count` todos at a revision has room
 * below the revision `revision + max - count`, and that is asked of the row that a create locks
 * anyway, however many create at once, on however many instances. Beyond it, they are counted anew.
 */
import type { Sql, Statements } from "../../database/connection.ts"
import { isNullRefused } from "../../database/errors.ts"
import { Problem, unavailable } from "../../errors.ts"
import { countUpTo } from "./queries.ts"

/** Users. When there are more, all are forgotten, and counted once again. */
const REMEMBERED = 100_000
/** Where the room ends the revision would be null, which undoes the whole statement. */
const isNoRoom = (error: unknown) => isNullRefused(error, "revisions", "revision")

/** Counting is of no use while other changes of the user take up all the room before it is asked. */
const ATTEMPTS = 20

export const quotaExceeded = (max: number) =>
  new Problem("QUOTA_EXCEEDED", `A user has at most ${max} todos: delete some first`)

/** How many todos there is room for, of how many, and the revision at which it ends. */
export type Room = { left: number; max: number; room: number | null }

export const endless: Room = {
  left: Number.POSITIVE_INFINITY,
  max: Number.POSITIVE_INFINITY,
  room: null,
}

export const createQuota = (sql: Sql, max: number | undefined) => {
  const rooms = new Map<number, number>()

  const measure = async (ownerId: number, limit: number) => {
    const { revision, count } = await countUpTo(sql, ownerId, limit)
    if (count >= limit) throw quotaExceeded(limit)
    if (rooms.size >= REMEMBERED) rooms.clear()
    rooms.set(ownerId, revision + limit - count)
  }

  /** `remeasure` is called where there was no room: others may have taken what had been measured. */
  const attempt = async <Made>(make: () => Promise<Made>, remeasure: () => Promise<void>) => {
    for (let attempts = 0; attempts < ATTEMPTS; attempts++) {
      try {
        return await make()
      } catch (error) {
        if (!isNoRoom(error)) throw error
      }
      await remeasure()
    }
    throw unavailable("Too many changes at once, next to the limit of todos")
  }

  return {
    /** `create` gets the revision below which there is room. Undefined where there is no end. */
    forOne: <Made>(ownerId: number, create: (room: number | null) => Promise<Made>) =>
      max === undefined
        ? create(null)
        : attempt(
            () => create(rooms.get(ownerId) ?? 0),
            () => measure(ownerId, max),
          ),

    /** `create` measures in its own transaction how much room there is. */
    forMany: <Made>(
      ownerId: number,
      create: (measureRoom: (transaction: Statements) => Promise<Room>) => Promise<Made>,
    ) => {
      if (max === undefined) return create(async () => endless)
      const measureRoom = async (transaction: Statements): Promise<Room> => {
        const { revision, count } = await countUpTo(transaction, ownerId, max)
        return { left: max - count, max, room: revision + max - count }
      }
      return attempt(
        () => create(measureRoom),
        async () => {},
      )
    },
  }
}
export type Quota = ReturnType<typeof createQuota>
