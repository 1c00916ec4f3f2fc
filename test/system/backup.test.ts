/** The README's way to back up and restore the embedded data. */
import { expect, setDefaultTimeout, test } from "bun:test"
import { join } from "node:path"
import { startCommand } from "../support/command.ts"
import { temporaryDirectory } from "../support/temporary.ts"

setDefaultTimeout(60_000)

const run = (...command: string[]) => {
  const { success, stderr } = Bun.spawnSync(command, { stderr: "pipe" })
  if (!success) throw new Error(`${command[0]}: ${stderr}`)
}

test("a copy of DATA_DIR, taken while the service is stopped, is the whole service elsewhere", async () => {
  using directory = temporaryDirectory()
  const [data, archive, restored] = ["data", "backup.tar.gz", "restored"].map((name) =>
    join(directory.path, name),
  ) as [string, string, string]
  // Its own secret, too: the tokens of before go on being good.
  const settings = { SECRET_KEY: "" }
  const first = await startCommand({ ...settings, DATA_DIR: data })
  const ada = await first.account()
  await ada.post("/todos", { title: "kept" })
  first.kill("SIGTERM")
  expect(await first.exited).toBe(0)

  run("tar", "--create", "--gzip", "--numeric-owner", "--file", archive, "--directory", data, ".")
  run("mkdir", "--mode", "0700", restored)
  run("tar", "--extract", "--gzip", "--numeric-owner", "--file", archive, "--directory", restored)

  await using second = await startCommand({ ...settings, DATA_DIR: restored })
  const { body } = await second.withToken(ada.token).get("/todos")
  expect(body).toMatchObject([{ title: "kept" }])
  second.kill("SIGTERM")
  expect(await second.exited).toBe(0)
})
