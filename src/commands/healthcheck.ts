/** `todo-api healthcheck`: exits with 0 if the service on HOST and PORT is ready, for probes of containers. */
import { get } from "node:http"
import { readConfig } from "../config/config.ts"
import { print } from "./command.ts"

const TIMEOUT_MS = 5_000

/** The address to connect to, also for a server that listens on all addresses. */
const REACHABLE: Record<string, string> = { "0.0.0.0": "127.0.0.1", "::": "::1" }

/** Not by fetch, which goes by the proxy of HTTP_PROXY, where this machine is another one. */
const statusOf = (host: string, port: number) =>
  new Promise<number | undefined>((resolve, reject) => {
    const signal = AbortSignal.timeout(TIMEOUT_MS)
    const options = { host, port, path: "/health/ready", signal, headers: { connection: "close" } }
    get(options, ({ statusCode }) => resolve(statusCode)).on("error", reject)
  })

export const healthcheck = async (env: NodeJS.ProcessEnv): Promise<number> => {
  const { HOST, PORT } = readConfig(env, false)
  try {
    const status = await statusOf(REACHABLE[HOST] ?? HOST, PORT)
    await print(status === 200 ? "ready\n" : `not ready: ${status}\n`)
    return status === 200 ? 0 : 1
  } catch {
    await print(`not ready: no answer from ${HOST}, port ${PORT}\n`)
    return 1
  }
}
