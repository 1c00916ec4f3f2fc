/** Bad answers, one after the other, and what has to be true of the client all the same. */
import { expect } from "bun:test"
import { type Client, memoryStorage } from "../../src/client/index.ts"
import { eventually, expireToken, type LiveApp } from "./live.ts"
import { answerWith, badNetwork, bodies } from "./portal.ts"
import { createRandom } from "./simulation/random.ts"

const answer = (status: number, body: string) =>
  status === 204 ? new Response(null, { status }) : answerWith(status, body)

/** Everything is answered so while edits wait: none is lost, refused, or sent in a loop. */
export const answerEdits = async (app: LiveApp, statuses: number[], kinds = bodies) => {
  let answered: (() => Response) | undefined
  let requests = 0
  const client = app.open(
    (reach) => async (path, init) => {
      if (!answered) return reach(path, init)
      requests++
      return answered()
    },
    memoryStorage(),
    200,
  )
  const user = await client.logIn(await app.account())
  const live = await client.todos.live({ until: "synced" })
  const expected: string[] = []
  for (const status of statuses)
    for (const body of status === 204 ? ["empty"] : kinds) {
      const name = `${status} ${body}`
      answered = () => answer(status, body)
      requests = 0
      for (const letter of ["a", "b", "c"]) {
        expected.push(`${name} ${letter}`)
        await live.create({ title: `${name} ${letter}` })
      }
      await eventually(() => requests > 1 && !live.status().is_online)
      // Pauses are 200 times shorter here: this is six seconds.
      const before = requests
      await Bun.sleep(30)
      expect({ name, isLoop: requests - before > 20 }).toEqual({ name, isLoop: false })
      answered = undefined
      live.retry()
      await eventually(() => live.status().pending === 0 && live.status().is_online)
      expect({ name, notices: live.notices() }).toEqual({ name, notices: [] })
    }
  expect((await client.todos.list()).map(({ title }) => title)).toEqual(expected)
  expect(await client.user()).toEqual(user)
}

type Account = { email: string; password: string }
const calls: Record<string, (client: Client, account: Account) => Promise<unknown>> = {
  logIn: (client, account) => client.logIn(account),
  register: (client, account) => client.logIn(account),
  changePassword: (client, { password }) =>
    client.changePassword({ current_password: password, new_password: "battery staple" }),
  deleteAccount: (client) => client.deleteAccount(),
  create: (client) => client.todos.create({ title: "a" }),
  get: (client) => client.todos.get(1),
  update: (client) => client.todos.update(1, { title: "a" }),
  delete: (client) => client.todos.delete(1),
  list: (client) => client.todos.list(),
  pages: (client) => client.todos.pages().next(),
}

/** Each call gets such an answer: it takes none for its own, and the session goes on. */
export const answerCalls = async (app: LiveApp, statuses: number[], kinds = bodies) => {
  let answered: (() => Response) | undefined
  const storage = memoryStorage()
  const client = app.open(
    (reach) => async (path, init) => answered?.() ?? reach(path, init),
    storage,
    10_000,
  )
  const account = await app.account()
  const user = await client.logIn(account)
  for (const status of statuses)
    for (const body of status === 204 ? [] : kinds)
      for (const [name, call] of Object.entries(calls)) {
        answered = () => answer(status, body)
        const outcome = await call(client, account).then(
          () => "taken for the service's",
          ({ error_code }) => error_code,
        )
        const said = { name, status, body }
        // What the service says itself where there are no todos: nobody can tell the difference.
        const isEmptyList = status === 200 && body === "array" && ["list", "pages"].includes(name)
        if (!isEmptyList)
          expect({ ...said, outcome }).toEqual({ ...said, outcome: "UNEXPECTED_ANSWER" })
        answered = undefined
        expect({ ...said, user: await client.user() }).toEqual({ ...said, user })
      }
  await expireToken(storage)
  expect(await client.todos.list()).toEqual([])
}

/** Edits while a bad network does what the seed says. Every edit is there once, in order. */
export const editBySeed = async (app: LiveApp, seed: number) => {
  const random = createRandom(seed)
  let isBad = false
  const storage = memoryStorage()
  const client = app.open(
    badNetwork(random, () => isBad),
    storage,
    200,
  )
  await client.logIn(await app.account())
  const live = await client.todos.live({ until: "synced" })
  const expected: string[] = []
  isBad = true
  for (let step = 0; step < 15; step++) {
    const title = `${seed}-${step}`
    const shown = random.oneOf(live.list())
    if (random.chance(0.1)) await expireToken(storage)
    if (shown && random.chance(0.3)) {
      expected[expected.indexOf(shown.title)] = title
      await live.update(shown.key, { title })
    } else if (shown && random.chance(0.1)) {
      expected.splice(expected.indexOf(shown.title), 1)
      await live.delete(shown.key)
    } else {
      expected.push(title)
      await live.create({ title })
    }
    await Bun.sleep(random.below(20))
  }
  isBad = false
  live.retry()
  await eventually(() => live.status().pending === 0 && live.status().is_online)
  const titles = (await client.todos.list()).map(({ title }) => title)
  expect({ seed, titles, shown: live.list().map(({ title }) => title) }).toEqual({
    ...{ seed, titles: expected, shown: expected },
  })
  expect({ seed, notices: live.notices() }).toEqual({ seed, notices: [] })
  client.close()
}
