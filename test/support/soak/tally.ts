/** What all requests of a soak came to, and which of their answers nobody may get. */
import type { Answer } from "../client.ts"

/** Milliseconds after the end of an outage: five times of what is promised. */
const GRACE = 5_000
/** Of all requests, without an outage: on a busy machine a statement may run into its time limit. */
const RARE = 0.01

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

  const isDuringOutage = (at: number) =>
    outages.some(({ from, to }) => at >= from && at <= to + GRACE)

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

    /** Answers that say so are to be expected from its beginning to shortly after its end. */
    async outage<Result>(work: () => Promise<Result>): Promise<Result> {
      const outage = { from: performance.now(), to: Number.POSITIVE_INFINITY }
      outages.push(outage)
      const result = await work()
      outage.to = performance.now()
      return result
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
