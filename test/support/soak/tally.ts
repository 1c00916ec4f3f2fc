/** What all requests of a soak came to, and which of their answers nobody may get. */
import type { Answer } from "../client.ts"

/** Of all requests, without an outage: on a busy machine a statement may run into its time limit. */
const RARE = 0.01
/** Milliseconds after which somebody who asks the database directly is late, and a request is refused. */
const LATE = 250
const LIMIT = 4_000

/** Returns the function that stops it. */
export const repeatedly = (step: () => Promise<unknown>) => {
  let isOver = false
  const run = async () => {
    while (!isOver) await step()
  }
  const ended = run()
  return async () => {
    isOver = true
    await ended
  }
}

export const createTally = () => {
  const counts = {
    requests: 0,
    acknowledged: 0,
    retried: 0,
    "502": 0,
    "503": 0,
    "cut off": 0,
    events: 0,
    streams: 0,
    "begun anew": 0,
    expired: 0,
    "without an outage": 0,
  }
  const wrong: unknown[] = []
  const failures: { at: number; text: string }[] = []
  const outages: { from: number; to: number }[] = []

  const isDuringOutage = (at: number) => outages.some(({ from, to }) => at >= from && at <= to)

  return {
    counts,
    /** What must not have happened, for a person to read. */
    report: (what: unknown) => void wrong.push(what),

    /** Sends until there is an answer. */
    async steadily(send: () => Promise<Answer>): Promise<Answer> {
      for (;;) {
        counts.requests++
        const answer = await send().catch(() => undefined)
        if (!answer) counts["cut off"]++
        else if (answer.status === 502 || answer.status === 503) {
          counts[answer.status]++
          failures.push({ at: performance.now(), text: answer.text })
        } else {
          if (answer.status >= 500) wrong.push(`${answer.status} ${answer.text}`)
          return answer
        }
        counts.retried++
        await Bun.sleep(20 + Math.random() * 80)
      }
    },

    /** Answers that say so are to be expected from now on, until what it returns is called. */
    outage() {
      const outage = { from: performance.now(), to: Number.POSITIVE_INFINITY }
      outages.push(outage)
      return () => {
        outage.to = performance.now()
      }
    },

    /** Where a control is late, too, the machine is: then statements run into their time limit. */
    watch(ask: () => Promise<unknown>) {
      return repeatedly(async () => {
        const from = performance.now()
        await ask().catch(() => {})
        const to = performance.now()
        if (to - from > LATE) outages.push({ from, to: to + LIMIT })
        await Bun.sleep(200)
      })
    },

    /** Everything that was wrong. */
    wrong: () => {
      const unexpected = failures.filter(({ at }) => !isDuringOutage(at))
      counts["without an outage"] = unexpected.length
      const isRare = unexpected.length < RARE * counts.requests
      return isRare ? wrong : [...wrong, ...unexpected]
    },
  }
}
export type Tally = ReturnType<typeof createTally>
