/** Simulates many seeds at once against one service, each with an account of its own. */
import type { Todo } from "../../../src/client/calls.ts"
import { connect } from "../../../src/database/connect.ts"
import { insertAccount } from "../accounts.ts"
import { startApp } from "../app.ts"
import { patiently } from "../client.ts"
import { readHistory, recordHistory } from "./history.ts"
import { simulate } from "./world.ts"

const AT_ONCE = 10

/** `traces`: the requests of each seed, in order. */
export const runSimulation = async ({ from, seeds }: { from: number; seeds: number }) => {
  await using app = await startApp()
  const sql = connect(app.databaseUrl, 2)
  await recordHistory(sql)
  const service = { fetch: (path: string, init: RequestInit) => fetch(app.url + path, init) }
  const failures: string[] = []
  const traces: string[][] = []
  const waiting = Array.from({ length: seeds }, (_, index) => from + index)
  let [clicks, told, stops] = [0, 0, 0]

  const work = async () => {
    for (let seed = waiting.shift(); seed !== undefined; seed = waiting.shift()) {
      const { id, token, email, password } = await insertAccount(app, sql)
      const result = await simulate({
        service,
        seed,
        credentials: { email, password },
        list: async () =>
          (await patiently(() => app.withToken(token).get("/todos"))).body as Todo[],
        history: () => readHistory(sql, id),
      })
      clicks += result.clicks
      told += result.told
      stops += result.stops
      traces[seed - from] = result.trace
      failures.push(...result.wrong.map((wrong) => `seed ${seed}: ${wrong}`))
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work))
  await sql.end()
  return { failures, clicks, told, stops, traces }
}
