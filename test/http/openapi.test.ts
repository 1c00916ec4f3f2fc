/** The OpenAPI document: it is valid, and says what the routes do. */
import { expect, test } from "bun:test"
import { readdirSync } from "node:fs"
import { join } from "node:path"
import { openapiDocument } from "../../src/commands/openapi.ts"
import { errorCodes } from "../../src/http/problem.ts"
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
    const { servers, ...rest } = served.body as { servers: { url: string }[] }
    expect({ servers: document.servers, ...rest }).toEqual(JSON.parse(printed))
    // Relative to where it was found: that holds under any prefix of a proxy, too.
    expect(new URL(servers[0]?.url ?? "", `https://example.org/todo-api${path}`).pathname).toBe(
      "/todo-api/",
    )
  }
  expect((await app.call("GET", "/openapi.json")).text).toBe(printed)
})

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
  // Any request can get these: the introduction says so once.
  for (const code of ["METHOD_NOT_ALLOWED", "INTERNAL_ERROR"]) documented.add(code)
  expect([...documented].sort()).toEqual([...errorCodes].sort())
})

const document = JSON.parse(await openapiDocument())

test("every call of the API may be one of too many", () => {
  const calls = operations.filter(({ path }) => path.startsWith("/api/"))
  expect(calls.filter(({ responses }) => !("429" in responses))).toEqual([])
})

test("the groups come in the order in which a newcomer needs them", () => {
  const names = document.tags.map(({ name }: { name: string }) => name)
  const order = ["Authentication", "Todos", "Sync", "Trash", "Account", "Sessions", "Access tokens"]
  const known = [...order, "Operations"].filter((name) => names.includes(name))
  expect(names).toEqual(known)
  expect([...new Set(operations.flatMap(({ tags }) => tags))]).toEqual(names)
})

/** The schemas that are reached from a part of the document. */
const reached = (part: unknown, found = new Set<string>()): Set<string> => {
  for (const [, name = ""] of JSON.stringify(part).matchAll(/"#\/components\/schemas\/(\w+)"/g))
    if (!found.has(name)) reached(document.components.schemas[name], found.add(name))
  return found
}

test("what is sent is closed, and what is answered may gain members", () => {
  const all = Object.values<Record<string, Record<string, unknown>>>(document.paths).flatMap(
    (path) => Object.values(path),
  )
  const isClosed = (name: string) =>
    document.components.schemas[name].additionalProperties === false
  const sent = [...reached(all.map((operation) => operation["requestBody"] ?? {}))]
  const objects = sent.filter((name) => document.components.schemas[name].type === "object")
  expect(objects.length).toBeGreaterThan(10)
  expect(objects.filter((name) => !isClosed(name))).toEqual([])
  const received = reached([all.map(({ responses }) => responses), document.components.responses])
  expect(received.size).toBeGreaterThan(20)
  expect([...received].filter(isClosed)).toEqual([])
})

test("generators get names, variants and examples that they can use", () => {
  const { schemas, responses, parameters } = document.components
  for (const name of [...Object.keys(schemas), ...Object.keys(responses)])
    expect(name).toMatch(/^([A-Z][a-z]+)+$/)
  expect(schemas.Operation.oneOf.length).toBeGreaterThanOrEqual(3)
  expect(schemas.Operation.discriminator).toMatchObject({
    propertyName: "op",
    mapping: { delete: "#/components/schemas/DeleteOperation" },
  })
  expect(schemas.Change.properties.todo).toMatchObject({
    nullable: true,
    allOf: [{ $ref: "#/components/schemas/Todo" }],
  })
  expect(schemas.Scope["x-enum-varnames"]).toEqual(["TodosRead", "TodosWrite"])
  expect(Object.keys(parameters)).not.toContain("X-Request-Id")
  for (const name of ["id", "created_at", "updated_at"])
    expect(
      Object.keys({ ...schemas.NewTodo.properties, ...schemas.TodoChanges.properties }),
    ).not.toContain(name)
  for (const { responses } of operations)
    for (const { content } of Object.values(responses))
      for (const media of Object.values(content ?? {}))
        expect("example" in media || "examples" in media).toBe(true)
  for (const { content } of Object.values<{ content: Record<string, { examples: object }> }>(
    responses,
  ))
    expect(Object.keys(content["application/problem+json"]?.examples ?? {}).length).toBeGreaterThan(
      0,
    )
})
