/** The servers that are compared, each a process of its own on the same database. */
import { join } from "node:path"
import { SECRET_KEY } from "./data.ts"

export type Server = {
  name: string
  /** Whether every answer is ours to the byte, or a rival's: the same todos, its own manners. */
  kind: "exact" | "rival"
  url: string
  pid: number
  stop(): Promise<void>
}

const here = import.meta.dir
const repository = join(here, "../..")
const bun = process.execPath

const programs = {
  "todo-api": { kind: "exact", command: [bun, "src/main.ts", "serve"], cwd: repository },
  floor: { kind: "exact", command: [bun, join(here, "floor.ts")], cwd: repository },
  "Elysia 404": { kind: "rival", command: [bun, join(here, "elysia-404.ts")], cwd: repository },
  Hono: { kind: "rival", command: [bun, "server.js"], cwd: join(here, "hono") },
  Fastify: { kind: "rival", command: ["node", "server.js"], cwd: join(here, "fastify") },
} as const
export type ProgramName = keyof typeof programs

const freePort = () => {
  const listener = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } })
  const { port } = listener
  listener.stop()
  return port
}

const answers = (url: string) =>
  fetch(url).then(
    () => true,
    () => false,
  )

for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(1))

export const startServer = async (
  name: ProgramName,
  databaseUrl: string,
  settings: Record<string, string> = {},
): Promise<Server> => {
  const { kind, command, cwd } = programs[name]
  const port = settings["PORT"] ?? String(freePort())
  const url = `http://127.0.0.1:${port}`
  const server = Bun.spawn([...command], {
    cwd,
    stdio: ["ignore", "ignore", "inherit"],
    env: {
      PATH: process.env["PATH"],
      NODE_ENV: "production",
      DATABASE_URL: databaseUrl,
      SECRET_KEY,
      PORT: port,
      ...settings,
    },
  })
  // A benchmark that fails, or is interrupted, leaves no server behind.
  process.on("exit", () => server.kill())
  while (!(await answers(url))) {
    if (server.exitCode !== null) throw new Error(`${name} did not start`)
    await Bun.sleep(50)
  }
  const stop = async () => {
    server.kill()
    await server.exited
  }
  return { name, kind, url, pid: server.pid, stop }
}

/** Packages that only measuring needs, of exactly the versions that their lockfiles name. */
export const installPackages = () => {
  const loadGenerator = Bun.which("wrk") ? [] : [join(here, "autocannon")]
  for (const cwd of [programs.Hono.cwd, programs.Fastify.cwd, ...loadGenerator]) {
    const install = Bun.spawnSync([bun, "install", "--frozen-lockfile"], { cwd, stdout: "ignore" })
    if (!install.success) throw new Error(`bun install failed in ${cwd}`)
  }
}
