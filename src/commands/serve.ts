/** `todo-api serve`: runs the service until it is told to stop. */
import { readConfig } from "../config.ts"
import { createLog } from "../http/log.ts"
import { startService } from "../service.ts"

export type ServeFlags = { migrate: boolean; allowNewerSchema: boolean }

const nextSignal = () =>
  new Promise<string>((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT"]) process.once(signal, () => resolve(signal))
  })

export const serve = async (env: NodeJS.ProcessEnv, flags: ServeFlags): Promise<number> => {
  const config = readConfig(env)
  const log = createLog(config.LOG_LEVEL)
  const stopped = nextSignal()
  const service = await startService({ config, log, ...flags })
  log.info(`todo-api listens on ${service.url}, its documentation is at ${service.url}/docs`)
  log.info({ signal: await stopped }, "stopping")
  await service.stop()
  return 0
}
