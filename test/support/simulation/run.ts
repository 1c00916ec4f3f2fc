/** Many seeds at once against one service, which is restarted meanwhile. */
import { connect } from "../../../src/database/connection.ts"
import { insertAccount } from "../accounts.ts"
import { startApp } from "../app.ts"
import { createStandIn } from "../stand-in.ts"
import type { Service } from "./network.ts"
import { simulate } from "./world.ts"

const AT_ONCE = 20

export const runSimulation = async (seeds: readonly number[], restartEvery: number) => {
  await using first = await startApp()
  const sql = connect(first.databaseUrl, 2)
  let app: Awaited<ReturnType<typeof startApp>> = first
  const standIn = createStandIn()
  const service: Service = { fetch: (path, init) => standIn(app.url, path, init) }
  const failures: string[] = []
  const waiting = [...seeds]
  let [clicks, told, done] = [0, 0, 0]

  const restart = async () => {
    const before = app
    await before.stop()
    app = await startApp({ DATABASE_URL: first.databaseUrl })
  }

  const work = async () => {
    for (let seed = waiting.shift(); seed !== undefined; seed = waiting.shift()) {
      const account = await insertAccount(app, sql)
      const list = async () => (await app.withToken(account.token).get("/todos")).body as never
      const result = await simulate({
        service,
        seed,
        credentials: { email: account.email, password: account.password },
        list,
      })
      clicks += result.clicks
      told += result.told
      failures.push(...result.wrong.map((wrong) => `seed ${seed}: ${wrong}`))
      if (++done % restartEvery === 0) await restart()
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work))
  await app.stop()
  await sql.end()
  return { failures, clicks, told }
}
