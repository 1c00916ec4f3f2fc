/**
 * Generators of clients take the document as it comes: each makes a client, which compiles, and goes
 * round: register, log in, create, update with If-Match, two errors, delete. One of each kind: Go's, one
 * of openapi-generator's, and openapi-typescript in typed-client.test.ts.
 */
import { afterAll, beforeAll, expect, test } from "bun:test"
import { cpSync, mkdirSync } from "node:fs"
import { join } from "node:path"
import { type App, startApp } from "../support/app.ts"

const sources = join(import.meta.dir, "..", "generators")
/** What is installed stays for the next run. */
const cache = join(import.meta.dir, "..", "..", "node_modules", ".cache", "generators")

let app: App
beforeAll(async () => {
  app = await startApp()
})
afterAll(() => app[Symbol.asyncDispose]())

/** A copy of the program with the document beside it. */
const prepare = async (name: string) => {
  const directory = join(cache, name)
  mkdirSync(directory, { recursive: true })
  cpSync(join(sources, name), directory, { recursive: true })
  const { text } = await app.call("GET", "/openapi.json")
  await Bun.write(join(directory, "openapi.json"), text)
  return async (...command: string[]) => {
    const child = Bun.spawn(command, { cwd: directory, stdio: ["ignore", "pipe", "pipe"] })
    const [out, err] = await Promise.all([child.stdout.text(), child.stderr.text()])
    if ((await child.exited) !== 0) throw new Error(`${command.join(" ")}\n${out}\n${err}`)
    return out
  }
}

/** Some of the programs that start them say more than they do. */
const expectRoundTrip = (name: string, output: string) =>
  expect(JSON.parse(/^\{.*\}$/m.exec(output)?.[0] ?? "null")).toEqual({
    email: `${name}@example.org`,
    created: "Buy milk",
    updated: true,
    stale: "PRECONDITION_FAILED",
    deleted: 204,
    gone: "TODO_NOT_FOUND",
  })

/** Those whose language the machine lacks are left out, and it is said. */
const has = (program: string) => {
  const found = Bun.which(program) !== null
  if (!found) console.log(`no ${program} on this machine: its generator was not tried`)
  return found
}

test.if(has("go"))(
  "oapi-codegen",
  async () => {
    const run = await prepare("go")
    mkdirSync(join(cache, "go", "api"), { recursive: true })
    await run(
      "go",
      "tool",
      "oapi-codegen",
      "-package",
      "api",
      "-generate",
      "types,client",
      "-o",
      "api/api.go",
      "openapi.json",
    )
    expectRoundTrip("go", await run("go", "run", ".", app.url))
  },
  240_000,
)

test.if(has("mvn"))(
  "openapi-generator for Java",
  async () => {
    const run = await prepare("java")
    expectRoundTrip(
      "java",
      await run("mvn", "--quiet", "compile", "exec:java", `-Dexec.args=${app.url}`),
    )
  },
  300_000,
)
