/** The limiter: at most N at once, fair between keys, with an end for whoever waits. */
import { expect, test } from "bun:test"
import { ClientLeft, createLimiter, type Refusal } from "../../src/concurrency/limiter.ts"
import { setClock } from "../support/clock.ts"

class Refused extends Error {
  constructor(readonly why: Refusal) {
    super(why)
  }
}
const refuse = (why: Refusal) => new Refused(why)

/** Work that ends when it is told to, and what has begun so far. */
const held = () => {
  const begun: string[] = []
  const ends = new Map<string, () => void>()
  return {
    begun,
    work: (name: string) => () => {
      begun.push(name)
      return new Promise<string>((resolve) => ends.set(name, () => resolve(name)))
    },
    end: (name: string) => {
      ends.get(name)?.()
      return Bun.sleep(0)
    },
  }
}

const whyOf = (work: Promise<unknown>) =>
  work.then(
    () => "done",
    (error: unknown) =>
      error instanceof Refused ? error.why : error instanceof ClientLeft && "left",
  )

test("no key has more under way than it may, and each key's work runs in the order in which it came", async () => {
  const limiter = createLimiter<string>({ perKey: 2, waitMs: 5_000, refuse })
  const { begun, work, end } = held()
  const all = ["a1", "a2", "a3", "b1", "a4"].map((name) => limiter.run(name.charAt(0), work(name)))
  await Bun.sleep(0)
  expect(begun).toEqual(["a1", "a2", "b1"])
  await end("a2")
  expect(begun).toEqual(["a1", "a2", "b1", "a3"])
  for (const name of ["a1", "a3", "b1", "a4"]) await end(name)
  expect(await Promise.all(all)).toEqual(["a1", "a2", "a3", "b1", "a4"])
  expect(limiter.state()).toEqual({ underWay: 0, waiting: 0, keys: 0 })
})

test("who waits in vain is refused before the time, but for who is patient", async () => {
  using clock = setClock()
  let endedAt = 0
  const isInVain = (since: number) => performance.now() - Math.max(since, endedAt) > 200
  const limiter = createLimiter<string>({ perKey: 1, waitMs: 5_000, isInVain, refuse })
  const { work, end } = held()
  const first = limiter.run("a", work("a1"))
  const vain = whyOf(limiter.run("a", work("a2")))
  const patient = limiter.run("a", work("a3"), { isPatient: true })
  clock.advance(0.15)
  endedAt = performance.now()
  clock.advance(0.15)
  // It looks every 100 ms.
  await Bun.sleep(120)
  expect(limiter.state().waiting).toBe(2)
  clock.advance(0.1)
  expect(await vain).toBe("vain")
  await end("a1")
  await end("a3")
  expect(await Promise.all([first, patient])).toEqual(["a1", "a3"])
})

test("keys take turns: one that came late with little does not wait for one that came early with much", async () => {
  const limiter = createLimiter<string>({ total: 1, waitMs: 5_000, refuse })
  const { begun, work, end } = held()
  const all = ["a1", "a2", "a3", "a4", "b1", "c1"].map((name) =>
    limiter.run(name.charAt(0), work(name)),
  )
  await Bun.sleep(0)
  for (const name of ["a1", "a2", "b1", "c1", "a3", "a4"]) await end(name)
  await Promise.all(all)
  expect(begun).toEqual(["a1", "a2", "b1", "c1", "a3", "a4"])
})

test("a full queue refuses at once, and its longest key gives a place to a shorter one", async () => {
  const limiter = createLimiter<string>({
    total: 1,
    queue: 3,
    queuePerKey: 3,
    waitMs: 5_000,
    refuse,
  })
  const { begun, work, end } = held()
  const first = limiter.run("a", work("a1"))
  const waiting = ["a2", "a3", "a4"].map((name) => whyOf(limiter.run("a", work(name))))
  expect(await whyOf(limiter.run("a", work("a5")))).toBe("full")
  const other = limiter.run("b", work("b1"))
  expect(await waiting[2]).toBe("full")
  for (const name of ["a1", "a2", "b1", "a3"]) await end(name)
  expect(await first).toBe("a1")
  expect(await other).toBe("b1")
  expect(begun).toEqual(["a1", "a2", "b1", "a3"])
  expect(limiter.state()).toEqual({ underWay: 0, waiting: 0, keys: 0 })
})

test("who has waited too long is refused, but for one whose response has begun", async () => {
  const limiter = createLimiter<string>({ perKey: 1, waitMs: 20, refuse })
  const { work, end, begun } = held()
  const first = limiter.run("a", work("a1"))
  const late = whyOf(limiter.run("a", work("a2")))
  const patient = limiter.run("a", work("a3"), { isPatient: true })
  expect(await late).toBe("late")
  await end("a1")
  await end("a3")
  expect([await first, await patient]).toEqual(["a1", "a3"])
  expect(begun).toEqual(["a1", "a3"])
})

test("what waits for a client that has left is dropped, and its signal is read only for a long wait", async () => {
  const limiter = createLimiter<string>({ perKey: 1, waitMs: 5_000, refuse })
  const { begun, work, end } = held()
  let reads = 0
  const client = new AbortController()
  const signal = () => {
    reads++
    return client.signal
  }
  const first = limiter.run("a", work("a1"), { signal })
  expect(reads).toBe(0)
  const left = whyOf(limiter.run("a", work("a2"), { signal }))
  const next = limiter.run("a", work("a3"))
  client.abort()
  expect(await left).toBe("left")
  expect(await whyOf(limiter.run("a", work("a4"), { signal }))).toBe("left")
  await end("a1")
  await end("a3")
  expect([await first, await next]).toEqual(["a1", "a3"])
  expect(begun).toEqual(["a1", "a3"])
  expect(limiter.state()).toEqual({ underWay: 0, waiting: 0, keys: 0 })
})

test("work that fails gives its place back", async () => {
  const limiter = createLimiter<string>({ perKey: 1, waitMs: 5_000, refuse })
  for (let i = 0; i < 3; i++)
    await expect(
      limiter.run("a", async () => {
        throw new Error("broken")
      }),
    ).rejects.toThrow("broken")
  expect(await limiter.run("a", async () => "fine")).toBe("fine")
  expect(limiter.state()).toEqual({ underWay: 0, waiting: 0, keys: 0 })
})
