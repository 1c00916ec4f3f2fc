/** `todo-api healthcheck`: exits with 0 if the service on HOST and PORT is ready, for probes of containers. */
import { readConfig } from "../config/config.ts"
import { print } from "./command.ts"

const TIMEOUT_MS = 5_000

/** The address to connect to, also for a server that listens on all addresses. */
const reachable = (host: string) =>
  host === "0.0.0.0"
    ? "127.0.0.1"
    : host === "::"
      ? "[::1]"
      : host.includes(":")
        ? `[${host}]`
        : host

export const healthcheck = async (env: NodeJS.ProcessEnv): Promise<number> => {
  const { HOST, PORT } = readConfig(env, false)
  const url = `http://${reachable(HOST)}:${PORT}/health/ready`
  try {
    const { ok, status } = await fetch(url, { signal: AbortSignal.timeout(TIMEOUT_MS) })
    await print(ok ? "ready\n" : `not ready: ${status}\n`)
    return ok ? 0 : 1
  } catch {
    await print(`not ready: no answer from ${url}\n`)
    return 1
  }
}
