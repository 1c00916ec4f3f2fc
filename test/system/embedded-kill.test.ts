/** The embedded Postgres outlives no service, and every service finds its data again. */
import { expect, test } from "bun:test"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { startEmbedded } from "../../src/database/embedded/start.ts"
import {
  guardOf,
  isGone,
  postmasterOf,
  query,
  startService,
  until,
  usedDataDir,
} from "../support/embedded.ts"

const startWithRow = async (dataDir: string) => {
  const service = await startService(dataDir)
  await query(service.url, "insert into kept values (2)")
  return { ...service, postmaster: postmasterOf(dataDir), guard: guardOf(service.pid) }
}

const expectRow = async (dataDir: string) => {
  const { url, stop } = await startEmbedded(dataDir)
  expect(await query(url, "select row from kept")).toEqual([1, 2])
  await stop()
}

test("kill -9 of the service ends Postgres, and no row is lost", async () => {
  using data = await usedDataDir()
  const { kill, postmaster } = await startWithRow(data.path)
  await kill("SIGKILL")
  await until(() => isGone(postmaster))
  await expectRow(data.path)
})

test("the next service ends a Postgres that was orphaned", async () => {
  using data = await usedDataDir()
  const { kill, guard, postmaster } = await startWithRow(data.path)
  process.kill(guard, "SIGKILL")
  await kill("SIGKILL")
  expect(isGone(postmaster)).toBe(false)
  await expectRow(data.path)
  expect(isGone(postmaster)).toBe(true)
})

test("kill -9 of everything at once loses no row", async () => {
  using data = await usedDataDir()
  const { kill, guard, postmaster } = await startWithRow(data.path)
  process.kill(guard, "SIGKILL")
  process.kill(postmaster, "SIGKILL")
  await kill("SIGKILL")
  await expectRow(data.path)
})

test("a service learns that its Postgres was killed", async () => {
  using data = await usedDataDir()
  const { exited, guard, postmaster } = await startWithRow(data.path)
  process.kill(postmaster, "SIGKILL")
  expect(await exited).toBe(0)
  await until(() => isGone(guard))
  await expectRow(data.path)
})

test("a Ctrl-C in the terminal does not reach Postgres before the service has drained", async () => {
  using data = await usedDataDir()
  const { pid, kill, url } = await startWithRow(data.path)
  process.kill(-pid, "SIGINT")
  await Bun.sleep(100)
  expect(await query(url, "select row from kept")).toEqual([1, 2])
  expect(await kill("SIGTERM")).toBe(0)
})

test("a process id left behind that now is another program's does not stop a start", async () => {
  using data = await usedDataDir()
  for (const name of ["postmaster.pid", ".s.PGSQL.5432.lock"]) {
    writeFileSync(join(data.path, "postgres", name), `${process.ppid}\n/proc/self/cwd\n`)
  }
  const { url, stop } = await startEmbedded(data.path)
  expect(await query(url, "select 1")).toEqual([1])
  await stop()
})
