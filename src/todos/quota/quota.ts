/**
 * MAX_TODOS_PER_USER, without counting for each create. Every change increments the user's revision by one
 * and adds at most one todo. So a user with `count` todos at some revision has room at least up to the
 * revision `revision + max - count`. A create locks and increments the revision anyway, so it can check
 * that at no cost, on any number of instances. Beyond that revision, the todos are counted again.
 */
import type { Sql, Statements } from "../../database/connect.ts"
import { isNullRefused } from "../../database/errors.ts"
import { Problem, unavailable } from "../../http/problem.ts"
import { countUpTo } from "./queries.ts"

/** Users. If there are more, all are forgotten and counted again. */
const REMEMBERED = 100_000
/** Without room the revision would be null, which makes the whole statement fail. */
const isNoRoom = (error: unknown) => isNullRefused(error, "revisions", "revision")

/** Other changes of the user may take all the room between counting and creating: then it is tried again. */
const ATTEMPTS = 20

export const quotaExceeded = (max: number) =>
  new Problem("QUOTA_EXCEEDED", `A user has at most ${max} todos: delete some first`)

/** How many of `max` todos are left, and the revision at which the room ends. */
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

  /** `remeasure` is called if there was no room: other changes may have taken it. */
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
    /** `create` gets the revision at which the room ends, or null without a limit. */
    forOne: <Made>(ownerId: number, create: (room: number | null) => Promise<Made>) =>
      max === undefined
        ? create(null)
        : attempt(
            () => create(rooms.get(ownerId) ?? 0),
            () => measure(ownerId, max),
          ),

    /** `create` measures the room in its own transaction. */
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
