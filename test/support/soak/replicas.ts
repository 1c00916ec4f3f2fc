/** Replicas that tail a user's todos, each in one of the ways that there are. */
import { createClient } from "../../../src/client/index.ts"
import type { User } from "../client.ts"
import { Replica, type Todo } from "../replica.ts"
import type { Ledger } from "./ledger.ts"
import { repeatedly, type Tally } from "./tally.ts"

type Getting = Pick<User, "get">
export type Tailing = { name: string; todos(): Todo[]; stop(): Promise<void> }

const WAIT_SECONDS = 5
/** Between two creates of a replica that is live. */
const CREATE_MS = 1_000

const steady = (user: Getting, tally: Tally): Getting => ({
  get: (path, headers) => tally.steadily(() => user.get(path, headers)),
})

/** A failover may have lost what the replica has. */
const unlessExpired = async (replica: Replica, tally: Tally, step: () => Promise<unknown>) => {
  try {
    await step()
  } catch (error) {
    if (!String(error).includes("CHANGES_EXPIRED")) throw error
    replica.beginAnew()
    tally.counts.expired++
  }
}

/** `everyNth`: about so many answers after it began it begins anew. */
export const tailByWaiting = (user: Getting, tally: Tally, everyNth?: number): Tailing => {
  // Pages of all lengths: the short ones are read while others write. With too short ones a sync
  // would take more answers than come before it begins anew.
  const shortest = everyNth === undefined ? 1 : 30
  const replica = new Replica(steady(user, tally), shortest + Math.floor(Math.random() * 300))
  const stop = repeatedly(async () => {
    await unlessExpired(replica, tally, () => replica.step({ prefer: `wait=${WAIT_SECONDS}` }))
    if (everyNth === undefined || Math.random() * everyNth >= 1) return
    replica.beginAnew()
    tally.counts["begun anew"]++
  })
  return {
    name: everyNth === undefined ? "waits" : "begins anew",
    todos: () => replica.todos(),
    stop,
  }
}

const STATE = /^data: (.*)$/gm

export const tailByEvents = (url: string, token: string, user: Getting, tally: Tally): Tailing => {
  const replica = new Replica(steady(user, tally))
  let stream = new AbortController()
  let isEnding = false

  const open = async () => {
    stream = new AbortController()
    const response = await fetch(`${url}/api/v1/todos/events`, {
      headers: { authorization: `Bearer ${token}` },
      signal: stream.signal,
    })
    const { status, headers, body } = response
    return { status, headers, body, text: status === 200 ? "" : await response.text() }
  }

  const read = async (body: ReadableStream<Uint8Array>) => {
    const decoder = new TextDecoder()
    let text = ""
    for await (const bytes of body) {
      text += decoder.decode(bytes, { stream: true })
      const end = text.lastIndexOf("\n\n")
      const events = [...text.slice(0, Math.max(0, end)).matchAll(STATE)]
      text = text.slice(end + 1)
      tally.counts.events += events.length
      const [, data = ""] = events.at(-1) ?? []
      if (data !== "" && JSON.parse(data).state !== replica.next)
        await unlessExpired(replica, tally, () => replica.fetch())
    }
  }

  const stop = repeatedly(async () => {
    const { body } = await tally.steadily(open)
    if (isEnding) return stream.abort()
    tally.counts.streams++
    // It breaks off where its instance is killed.
    await read(body as ReadableStream<Uint8Array>).catch(() => {})
    await Bun.sleep(Math.random() * 200)
  })
  return {
    name: "streams",
    todos: () => replica.todos(),
    stop: async () => {
      isEnding = true
      stream.abort()
      await stop()
    },
  }
}

/** A replica of the client's, with a writer: it creates todos there. */
export const openLive = async (
  name: string,
  url: string,
  credentials: { email: string; password: string },
  ledger: Ledger,
) => {
  const client = createClient({ url })
  const logIn = (): Promise<unknown> =>
    client.logIn(credentials).catch((error) => {
      if (error.error_code !== "SERVICE_UNAVAILABLE") throw error
      return logIn()
    })
  await logIn()
  const live = await client.todos.live()
  const created: string[] = []
  const stopCreating = repeatedly(async () => {
    const { key } = await live.create({ title: `${name}-${created.length}` })
    created.push(key)
    await Bun.sleep(CREATE_MS)
  })
  const todos = () =>
    live
      .list()
      .map(({ key, is_pending, ...todo }) => todo)
      .sort((a, b) => a.id - b.id)
  const replica: Tailing = { name: "live", todos, stop: async () => client.close() }
  const writer = {
    async stop() {
      await stopCreating()
      while (live.status().pending > 0) await Bun.sleep(50)
      for (const key of created) {
        const todo = live.get(key)
        if (todo) ledger.add(todo)
      }
    },
  }
  return { replica, writer, notices: live.notices }
}
