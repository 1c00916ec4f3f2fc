/** A thousand logins at once from one address: how many of them are answered before another's. */
import { expect, test } from "bun:test"
import { startProcess } from "../../support/process.ts"

const ROUNDS = 3
/** So many of the flood wait, and in one line for all another's login would come after them. */
const WAITING = 100

test("a thousand logins at once from one address delay another's by less than a second", async () => {
  await using service = await startProcess({ TRUSTED_PROXIES: "127.0.0.0/8" })
  const ada = await service.account()
  const logIn = (body: object, from: string, signal: AbortSignal | null = null) =>
    fetch(`${service.url}/api/v1/auth/login`, {
      method: "POST",
      headers: { "content-type": "application/json", "x-forwarded-for": from },
      body: JSON.stringify(body),
      signal,
    })
  const overtaken: number[] = []
  const delays: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const leaving = new AbortController()
    const answers = { verified: 0, refused: 0 }
    const isFull = Promise.withResolvers<void>()
    const flood = Array.from({ length: 1_000 }, async (_, i) => {
      const body = { email: `nobody-${i}@example.org`, password: "wrong" }
      const { status } = await logIn(body, `198.18.0.${round}`, leaving.signal)
      if (status === 401) answers.verified++
      if (status !== 503) return
      answers.refused++
      isFull.resolve()
    })
    const settled = Promise.allSettled(flood)
    // Where the first is refused the line is as long as it gets.
    await isFull.promise
    const before = answers.verified
    const start = performance.now()
    const body = { email: ada.email, password: ada.password }
    expect((await logIn(body, `198.18.2.${round}`)).status).toBe(200)
    overtaken.push(answers.verified - before)
    delays.push(performance.now() - start)
    leaving.abort()
    await settled
  }
  const took = delays.map(Math.round).join(", ")
  console.log(`another's login came after ${overtaken.join(", ")} of the flood, in ${took} ms`)
  expect(overtaken.toSorted((a, b) => a - b)[1]).toBeLessThan(WAITING / 2)
})
