/** The storage fails once, at each of its accesses in turn: what its users see. */
import { expect, test } from "bun:test"
import { ApiError, type Client, memoryStorage, type Storage } from "../../src/client/index.ts"
import { eventually, expireToken, shareLiveApp } from "../support/live.ts"

const app = await shareLiveApp()

/** Its n-th access fails. */
const failingAt = (storage: Storage, failing: number) => {
  const accesses = { count: 0 }
  const access = async <T>(run: () => Promise<T>) => {
    if (++accesses.count === failing) throw new DOMException("The disk failed", "UnknownError")
    return run()
  }
  const failingStorage: Storage = {
    ...storage,
    read: (prefix) => access(() => storage.read(prefix)),
    write: (values, guard) => access(() => storage.write(values, guard)),
  }
  return { accesses, failingStorage }
}

/** As an application does that says what went wrong, and whose user tries again. */
const tryAgain = async <T>(run: () => Promise<T>): Promise<T> => {
  try {
    return await run()
  } catch (error) {
    if (!(error instanceof ApiError && error.error_code === "STORAGE_FAILED")) throw error
    return run()
  }
}

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
  await tryAgain(() => client.logOut())
  expect(await tryAgain(() => client.user())).toBeUndefined()
}

test("a storage that fails once, at any access, loses nothing, and all goes on", async () => {
  const whole = failingAt(memoryStorage(), 0)
  await useIt(app.open(undefined, whole.failingStorage), whole.failingStorage, "whole")
  const failOnce = async (failing: number) => {
    const storage = memoryStorage()
    const client = app.open(undefined, failingAt(storage, failing).failingStorage)
    await useIt(client, storage, `${failing}`).catch((error) => {
      throw new Error(`access ${failing}: ${error}`, { cause: error })
    })
    client.close()
    await Bun.sleep(0)
    // What ends the session on the service may be left, and is tried again at the next start.
    const keys = [...(await storage.read("")).keys()].filter((key) => !key.startsWith("left:"))
    expect({ failing, keys }).toEqual({ failing, keys: [] })
  }
  expect(whole.accesses.count).toBeGreaterThan(20)
  await Promise.all(Array.from({ length: whole.accesses.count }, (_, index) => failOnce(index + 1)))
}, 60_000)
