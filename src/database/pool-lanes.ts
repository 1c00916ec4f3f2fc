/**
 * Tasks that would wait for each other's locks, a lane for each owner of such locks: they run in the
 * order in which they came, on one connection at a time, each sent behind the one before it. So none
 * waits for a lock in the database, and no lane holds more than one connection.
 *
 * A task of a lane
 *   leads     where none of the lane is under way: the scheduler finds it a slot, among all others;
 *   follows   the ones under way, into their slot, as long as more may be sent there;
 *   waits     in the lane otherwise, until one of those under way has ended.
 * The lane leaves the slot with its last task under way, and the next one leads again: a lane that is
 * never empty gives way to those who wait for a slot.
 */
import type { Scheduler, Slot, Waiter } from "./pool-scheduler.ts"

type Lane<Connection, Task> = {
  /** Where its tasks are under way. Undefined while its leader waits for a slot. */
  slot: Slot<Connection, Task> | undefined
  /** Its leader counts while it waits, too. */
  underWay: number
  waiting: Waiter<Connection, Task>[]
}

export const createLanes = <Connection, Task>({
  schedule,
  canFollow,
}: Pick<Scheduler<Connection, Task>, "schedule" | "canFollow">) => {
  const lanes = new Map<number, Lane<Connection, Task>>()

  const begin = (
    key: number,
    lane: Lane<Connection, Task>,
    slot: Slot<Connection, Task>,
    { start, askedAt }: Waiter<Connection, Task>,
  ) => {
    lane.slot = slot
    const task = start(slot, askedAt)
    const end = () => ended(key, lane)
    // Not the query's own `then`, which would start it.
    Promise.prototype.then.call(task, end, end)
    return task
  }

  const lead = (key: number, lane: Lane<Connection, Task>, waiter: Waiter<Connection, Task>) => {
    lane.underWay++
    schedule({
      ...waiter,
      start: (slot) => begin(key, lane, slot, waiter),
      reject(reason) {
        waiter.reject(reason)
        ended(key, lane)
      },
    })
  }

  const follow = (key: number, lane: Lane<Connection, Task>) => {
    for (let next = lane.waiting[0]; next?.isBrief; next = lane.waiting[0]) {
      if (!lane.slot || !canFollow(lane.slot)) return
      lane.waiting.shift()
      lane.underWay++
      begin(key, lane, lane.slot, next)
    }
  }

  const ended = (key: number, lane: Lane<Connection, Task>) => {
    lane.underWay--
    if (lane.underWay === 0) {
      lane.slot = undefined
      const next = lane.waiting.shift()
      if (!next) return lanes.delete(key)
      lead(key, lane, next)
    }
    follow(key, lane)
  }

  return {
    /** As the scheduler's own. One that may take long goes before the brief ones: it was one of them. */
    schedule(key: number, waiter: Waiter<Connection, Task>) {
      const lane = lanes.get(key)
      if (!lane) {
        const empty = { slot: undefined, underWay: 0, waiting: [] }
        lanes.set(key, empty)
        return lead(key, empty, waiter)
      }
      const place = waiter.isBrief ? -1 : lane.waiting.findIndex(({ isBrief }) => isBrief)
      lane.waiting.splice(place < 0 ? lane.waiting.length : place, 0, waiter)
      follow(key, lane)
    },
    /** Those who wait in each lane. */
    queues: () => lanes.values().map(({ waiting }) => waiting),
  }
}
export type Lanes<Connection, Task> = ReturnType<typeof createLanes<Connection, Task>>
