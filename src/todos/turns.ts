/** One change of an owner at a time: others wait here, where they hold no connection and no lock. */

/** Whoever waited this long goes on: the one before may be held up in the database, or lost. */
const LONGEST_MS = 500

/** Of each owner with a change under way: who waits for it, in the order in which they came. */
const queues = new Map<number, (() => void)[]>()

const turnIn = (queue: (() => void)[]) => {
  const { promise, resolve } = Promise.withResolvers<void>()
  const enter = () => {
    clearTimeout(timer)
    resolve()
  }
  const timer = setTimeout(() => {
    // Whoever ends next gives its turn to one who still waits.
    queue.splice(queue.indexOf(enter), 1)
    resolve()
  }, LONGEST_MS)
  queue.push(enter)
  return promise
}

/** In the database all but one of them would wait for the lock of the owner's revision. */
export const inTurn = async <Result>(
  ownerId: number,
  work: () => Promise<Result>,
): Promise<Result> => {
  const queue = queues.get(ownerId)
  if (queue) await turnIn(queue)
  else queues.set(ownerId, [])
  try {
    return await work()
  } finally {
    const next = queues.get(ownerId)?.shift()
    if (next) next()
    else queues.delete(ownerId)
  }
}
