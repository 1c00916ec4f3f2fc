/** `todo-api serve`: runs the service until a signal stops it. */
import { resolve } from "node:path"
import { type Config, readConfig } from "../config/config.ts"
import { warningsOf } from "../config/warnings.ts"
import { createLog } from "../log.ts"
import { startService } from "../service.ts"
import type { Flags } from "./command.ts"

/**
 * How long responses carry `Connection: close` before the listener closes. Without that, a client may
 * already be sending its next request on a connection that is being closed.
 */
const DRAIN_MS = 250
/** How long the last lines of the log may take, if nobody reads them. */
const LAST_LINES_MS = 1_000

/** The parts of the time for stopping, which all lie within SHUTDOWN_TIMEOUT_SECONDS. */
const timesOf = ({ SHUTDOWN_TIMEOUT_SECONDS }: Config) => {
  const total = SHUTDOWN_TIMEOUT_SECONDS * 1_000
  const [drain, lastLines] = [Math.min(DRAIN_MS, total / 4), Math.min(LAST_LINES_MS, total / 10)]
  return { drain, stop: total - drain - lastLines, lastLines }
}

/** Under `bun run` one Ctrl-C arrives twice: from the terminal and from the runner. */
const REPEAT_MS = 1_000

/** The handlers stay: without them a repeated signal would end the process at once. */
const listenForSignals = () => {
  const first = Promise.withResolvers<string>()
  const second = Promise.withResolvers<string>()
  let firstAt: number | undefined
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"])
    process.on(signal, () => {
      firstAt ??= performance.now()
      first.resolve(signal)
      if (performance.now() - firstAt > REPEAT_MS) second.resolve(signal)
    })
  return { first: first.promise, second: second.promise }
}

/** What a person at a terminal needs to know next. */
const hintsFor = ({ DATABASE_URL, DATA_DIR }: Config) => `
  Data:  ${DATABASE_URL ? "in the database that DATABASE_URL names" : resolve(DATA_DIR)}
  Stop:  Ctrl-C`

/** An error that nobody has caught. The state of the process is unknown then, so it ends. */
const nextBug = () =>
  new Promise<{ bug: unknown }>((resolve) => {
    for (const event of ["uncaughtException", "unhandledRejection"])
      process.once(event, (bug) => resolve({ bug }))
  })

export const serve = async (env: NodeJS.ProcessEnv, _: string, flags: Flags): Promise<number> => {
  const config = readConfig(env)
  const times = timesOf(config)
  const log = createLog(config.LOG_LEVEL)
  for (const warning of warningsOf(config, env)) log.warn(warning)
  try {
    const signals = listenForSignals()
    const migrate = !flags["no-migrate"]
    const allowNewerSchema = flags["allow-newer-schema"] === true
    const starting = startService({ config, log, migrate, allowNewerSchema })
    const service = await Promise.race([starting, signals.first])
    // Everything that was started ends with the process, by its guard the embedded database too.
    if (typeof service === "string") return 0
    const { url, metricsUrl } = service
    const listens = `todo-api listens on ${url}, its documentation is at ${url}/docs`
    log.info({ metrics: metricsUrl }, process.stdout.isTTY ? listens + hintsFor(config) : listens)

    const reason = await Promise.race([signals.first, service.databaseEnded, nextBug()])
    if (typeof reason !== "string") {
      if (reason) log.fatal({ err: reason.bug }, "unexpected error: stopping")
      else log.fatal("the embedded database ended: see postgres.log in DATA_DIR")
      await service.stop(times.stop)
      return 1
    }
    log.info({ signal: reason }, "stopping")
    service.drain()
    const stopped = Bun.sleep(times.drain).then(() => service.stop(times.stop))
    const again = await Promise.race([stopped, signals.second])
    log.info(again ? { signal: again } : {}, again ? "stopped at once" : "stopped")
    return again ? 1 : 0
  } finally {
    await log.end(times.lastLines)
  }
}
