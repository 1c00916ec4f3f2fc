/** The storage or the network fails once, at each access in turn: what its users see. */
import { expect, test } from "bun:test"
import { ApiError, type Client, memoryStorage, type Storage } from "../../src/client/index.ts"
import { eventually, expireToken, type Reach, shareLiveApp } from "../support/live.ts"

const app = await shareLiveApp()

/** Calls `fail` at the n-th access. */
const createTurns = (failing: number) => {
  const turns = { count: 0, isNext: () => ++turns.count === failing }
  return turns
}
type Turns = ReturnType<typeof createTurns>

const failingStorage = (storage: Storage, turns: Turns): Storage => {
  const access = async <T>(run: () => Promise<T>) => {
    if (turns.isNext()) throw new DOMException("The disk failed", "UnknownError")
    return run()
  }
  return {
    ...storage,
    read: (prefix) => access(() => storage.read(prefix)),
    write: (values, guard) => access(() => storage.write(values, guard)),
  }
}

/** `lost`: the service has done it, and its answer is lost. */
const failingNetwork = (turns: Turns, isLost: boolean) => (reach: Reach) => {
  const through: Reach = async (path, init) => {
    const isFailing = turns.isNext()
    if (isFailing && !isLost) throw new TypeError("cut")
    const response = await reach(path, init)
    if (isFailing) throw new TypeError("lost")
    return response
  }
  return through
}

/** As an application does that says what went wrong, and whose user tries again: once for each failure. */
const tryAgain = async <T>(run: () => Promise<T>, failures = 1): Promise<T> => {
  try {
    return await run()
  } catch (error) {
    const code = error instanceof ApiError ? error.error_code : undefined
    // Of a machine that is too busy for so many at once: none of the failures that are meant here.
    if (code === "SERVICE_UNAVAILABLE") return tryAgain(run, failures)
    if (failures === 0 || (code !== "STORAGE_FAILED" && code !== "NETWORK_ERROR")) throw error
    return tryAgain(run, failures - 1)
  }
}

/** Two edits, a refresh, a deletion, and a log-out that leaves nothing. */
const useIt = async (client: Client, storage: Storage, name: string) => {
  const account = await app.account()
  const user = await tryAgain(() => client.logIn(account))
  const live = await tryAgain(() => client.todos.live({ until: "synced" }))
  const { key } = await live.create({ title: `${name} a` })
  await live.update(key, { title: `${name} b` })
  await eventually(() => live.status().pending === 0 && live.status().is_stored)
  await expireToken(storage)
  expect((await tryAgain(() => client.todos.list())).map(({ title }) => title)).toEqual([
    `${name} b`,
  ])
  expect(await tryAgain(() => client.user())).toEqual(user)
  const id = live.get(key)?.id ?? 0
  await tryAgain(() => client.todos.delete(id))
  expect(live.notices()).toEqual([])
  await tryAgain(() => client.logOut())
  expect(await tryAgain(() => client.user())).toBeUndefined()
  client.close()
  await Bun.sleep(0)
  // What ends the session on the service may be left, and is tried again at the next start.
  const keys = [...(await storage.read("")).keys()].filter((stored) => !stored.startsWith("left:"))
  expect(keys).toEqual([])
}

/** Once without a failure, to count the accesses, and then once for each. */
const failAtEach = async (open: (storage: Storage, turns: Turns) => Client) => {
  const run = async (failing: number) => {
    const [storage, turns] = [memoryStorage(), createTurns(failing)]
    await useIt(open(storage, turns), storage, `${failing}`).catch((error) => {
      throw new Error(`access ${failing}: ${error}`, { cause: error })
    })
    return turns.count
  }
  const accesses = await run(0)
  expect(accesses).toBeGreaterThan(10)
  await Promise.all(Array.from({ length: accesses }, (_, index) => run(index + 1)))
}

test("a storage that fails once, at any access, loses nothing, and all goes on", async () => {
  await failAtEach((storage, turns) => app.open(undefined, failingStorage(storage, turns)))
})

test("a request that is cut, or whose answer is lost, at any time, loses and doubles nothing", async () => {
  for (const isLost of [false, true])
    await failAtEach((storage, turns) => app.open(failingNetwork(turns, isLost), storage))
})
