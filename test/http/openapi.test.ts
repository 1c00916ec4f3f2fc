/** The OpenAPI document: it is valid, and says what the routes do. */
import { expect, test } from "bun:test"
import { readdirSync } from "node:fs"
import { join } from "node:path"
import { statuses } from "../../src/http/problem.ts"
import { startApp } from "../support/app.ts"
import { readOperations } from "../support/document.ts"
import { temporaryDirectory } from "../support/temporary.ts"

const root = join(import.meta.dir, "../..")

test("the command prints what /openapi.json and /docs/json serve, without a database", async () => {
  await using app = await startApp()
  using directory = temporaryDirectory()
  const command = Bun.spawnSync([process.execPath, join(root, "src/main.ts"), "openapi"], {
    cwd: directory.path,
    env: { DATABASE_URL: "postgres://nobody@127.0.0.1:1/nothing" },
  })
  expect(command.stderr.toString()).toBe("")
  expect(command.exitCode).toBe(0)
  expect(readdirSync(directory.path)).toEqual([])
  const printed = command.stdout.toString()
  for (const path of ["/openapi.json", "/docs/json"]) {
    const served = await app.call("GET", path)
    expect(served.headers.get("content-type")).toBe("application/json")
    expect(served.text).toBe(printed)
  }
})

test("the document breaks no rule that Redocly recommends", () => {
  const lint = Bun.spawnSync([process.execPath, "run", "check:openapi"], { cwd: root })
  const report = lint.stdout.toString() + lint.stderr.toString()
  expect(report).toContain("Your API description is valid")
  expect(lint.exitCode).toBe(0)
}, 30_000)

const operations = await readOperations()

test("every operation has its id, its summary, its description and its group", () => {
  const ids = operations.map(({ operationId }) => operationId)
  expect(new Set(ids).size).toBe(operations.length)
  for (const { operationId, summary, description, tags } of operations) {
    expect(operationId).toMatch(/^[a-z]+([A-Z][a-z]+)*$/)
    expect(summary).toMatch(/^[A-Z][^.]+$/)
    expect(description).toMatch(/^[A-Z].+\.$/s)
    expect(tags).toHaveLength(1)
  }
})

test("a route asks for a token if and only if the document says so", async () => {
  await using app = await startApp()
  for (const { method, path, security, responses } of operations) {
    const { status } = await app.call(method, path.replace("{id}", "1"), {
      ...(method !== "GET" && { body: {} }),
    })
    expect([path, method, status === 401]).toEqual([path, method, security.length === 1])
    expect(status in responses).toBe(true)
  }
})

test("every error code that a documented route can give is documented", () => {
  const documented = new Set(
    operations.flatMap(({ responses }) =>
      Object.values(responses).flatMap(({ content }) => {
        const schema = content?.["application/problem+json"]?.schema
        return schema?.properties?.["error_code"]?.enum ?? []
      }),
    ),
  )
  expect([...documented].sort()).toEqual(Object.keys(statuses).sort())
})
