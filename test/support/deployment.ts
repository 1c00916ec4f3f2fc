/** Instances of the service behind nginx, for a test to kill, stop and start again. */
import { createClient } from "./client.ts"
import { type Command, startCommand } from "./command.ts"
import { startNginx } from "./nginx.ts"
import { freePort } from "./ports.ts"

export const startDeployment = async (databaseUrl: string, size = 3) => {
  const ports = Array.from({ length: size }, freePort)
  const started: Command[] = []
  const start = async (port: number) => {
    const settings = { DATABASE_URL: databaseUrl, TRUSTED_PROXIES: "127.0.0.1" }
    const instance = await startCommand({ ...settings, PORT: String(port) })
    started.push(instance)
    return instance
  }
  const instances: Command[] = []
  for (const port of ports) instances.push(await start(port))
  const nginx = await startNginx(freePort(), ports)
  const client = createClient(nginx.url)
  while (!(await client.call("GET", "/health/ready").catch(() => undefined))) await Bun.sleep(20)
  return {
    ...client,
    url: nginx.url,
    instances,
    /** Of all that were ever started. */
    warnings: () => started.flatMap(({ warnings }) => warnings()),
    /** Once it has ended. Resolves when it listens again. */
    restart: async (index: number) => {
      await instances[index]?.exited
      instances[index] = await start(ports[index] ?? 0)
    },
    async [Symbol.asyncDispose]() {
      await nginx[Symbol.asyncDispose]()
      for (const instance of instances) await instance[Symbol.asyncDispose]()
    },
  }
}

export type Deployment = Awaited<ReturnType<typeof startDeployment>>
