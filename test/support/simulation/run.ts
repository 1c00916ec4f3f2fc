/** Simulates many seeds at once against one service, which is restarted meanwhile. */
import type { Todo } from "../../../src/client/calls.ts"
import { connect } from "../../../src/database/connect.ts"
import { insertAccount } from "../accounts.ts"
import { type App, startApp } from "../app.ts"
import { readHistory, recordHistory } from "./history.ts"
import type { Service } from "./network.ts"
import { simulate } from "./world.ts"

const AT_ONCE = 40
/** After so many seeds the service is restarted, while others are in progress. */
const SEEDS_OF_A_PROCESS = 50

export const runSimulation = async ({ from, seeds }: { from: number; seeds: number }) => {
  await using first = await startApp()
  const sql = connect(first.databaseUrl, 2)
  await recordHistory(sql)
  let app: App = first
  /** Pending during a restart, for which the test's own calls wait. Most clients' requests fail. */
  let up: Promise<App> = Promise.resolve(app)
  const service: Service = {
    fetch: async (path, init) => {
      // During a restart some requests fail and others wait, as behind a load balancer.
      if (Math.random() < 0.2) await up
      return fetch(app.url + path, init)
    },
  }
  const failures: string[] = []
  const waiting = Array.from({ length: seeds }, (_, index) => from + index)
  let [clicks, told, done] = [0, 0, 0]

  const restart = async () => {
    await (await up).stop()
    app = await startApp({ DATABASE_URL: first.databaseUrl })
    return app
  }

  /** For the test's own calls: one that fails because of a restart is repeated. */
  const steadily = async <T>(run: (app: App) => Promise<T>): Promise<T> => {
    const before = await up
    try {
      return await run(before)
    } catch (error) {
      if ((await up) === before) throw error
      return steadily(run)
    }
  }

  const work = async () => {
    for (let seed = waiting.shift(); seed !== undefined; seed = waiting.shift()) {
      const { id, token, email, password } = await steadily((running) =>
        insertAccount(running, sql),
      )
      const list = async () =>
        (await steadily((running) => running.withToken(token).get("/todos"))).body as Todo[]
      const credentials = { email, password }
      const result = await simulate({
        service,
        seed,
        credentials,
        list,
        history: () => readHistory(sql, id),
      })
      clicks += result.clicks
      told += result.told
      failures.push(...result.wrong.map((wrong) => `seed ${seed}: ${wrong}`))
      if (++done % SEEDS_OF_A_PROCESS === 0) up = restart()
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work))
  await (await up).stop()
  await sql.end()
  return { failures, clicks, told }
}
