/** `rotate-key`: a new secret for the embedded database's service, with which everybody stays logged in. */
import { expect, test } from "bun:test"
import { readFileSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { runCommand, startCommand } from "../support/command.ts"
import { usedDataDir } from "../support/embedded.ts"
import { isSignedBy, refresh, works } from "../support/signed.ts"

test("rotate-key makes a new key for the next start, and keeps nobody out", async () => {
  using dataDir = await usedDataDir()
  const env = { DATA_DIR: dataDir.path, SECRET_KEY: "" }
  const start = () => startCommand({ ...env, REGISTRATIONS_PER_HOUR: "1000" })
  const file = (name: string) => join(dataDir.path, name)
  const service = await start()
  const ada = await service.account()
  const old = readFileSync(file("secret_key"), "utf8")

  const rotated = await runCommand(["rotate-key"], { DATA_DIR: dataDir.path })
  expect(rotated).toMatchObject({ code: 0, err: "" })
  expect(rotated.out).toContain("Restart")
  const fresh = readFileSync(file("secret_key"), "utf8")
  expect(fresh).toMatch(/^[\w-]{86}$/)
  expect(fresh).not.toBe(old)
  expect(readFileSync(file("secret_key.previous"), "utf8")).toBe(old)
  for (const name of ["secret_key", "secret_key.previous"])
    expect(statSync(file(name)).mode & 0o777).toBe(0o600)
  expect(rotated.out).not.toContain(fresh)

  expect(await works(ada.token, service)).toBe(true)
  await service.stop()
  await using again = await start()
  expect(await works(ada.token, again)).toBe(true)
  const { access_token } = await refresh(again, ada.refreshToken)
  expect(isSignedBy(access_token, fresh)).toBe(true)
})

test("of many rotate-keys only one makes a key until the service has been restarted", async () => {
  using dataDir = await usedDataDir()
  const file = (name: string) => join(dataDir.path, name)
  const env = { DATA_DIR: dataDir.path }
  const first = await startCommand({ ...env, SECRET_KEY: "" })
  const ada = await first.account()
  const old = readFileSync(file("secret_key"), "utf8")
  const rotations = await Promise.all([1, 2, 3, 4, 5].map(() => runCommand(["rotate-key"], env)))
  expect(rotations.map(({ code }) => code).sort()).toEqual([0, 1, 1, 1, 1])
  const refusals = rotations.filter(({ code }) => code === 1)
  for (const { err } of refusals) expect(err).toMatch(/restart it first|under way/)
  expect(readFileSync(file("secret_key.previous"), "utf8")).toBe(old)
  const later = await runCommand(["rotate-key"], env)
  expect(later).toMatchObject({ code: 1, err: expect.stringContaining("restart it first") })

  first.kill("SIGTERM")
  await first.exited
  await using second = await startCommand({ ...env, SECRET_KEY: "" })
  expect(await works(ada.token, second)).toBe(true)
  expect((await runCommand(["rotate-key"], env)).code).toBe(0)
  writeFileSync(file("secret_key.next"), "", { mode: 0o600 })
  const stuck = await runCommand(["rotate-key"], env)
  expect(stuck).toMatchObject({ code: 1, err: expect.stringContaining("under way") })
})
