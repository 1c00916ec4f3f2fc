/** The package that `bun run build:client` makes, as those see it who install it. */
import { expect, test } from "bun:test"
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { buildClient, packClient } from "../../.ci/build-client.ts"
import { startApp } from "../support/app.ts"
import { temporaryDirectory } from "../support/temporary.ts"

const program = `
import { createClient } from "todo-api/client"
import { fileStorage } from "todo-api/client/file"
const [url, name] = process.argv.slice(2)
const file = name + ".json"
const email = name + "@example.org"
const client = createClient({ url, storage: fileStorage(file) })
await client.register({ email, password: "correct horse" })
const { todo } = await client.todos.create({ title: "Buy milk" })
const again = createClient({ url, storage: fileStorage(file) })
console.log(JSON.stringify([(await again.user()).email, (await again.todos.list())[0].title]))
`
/** With the browser's types and no others. */
const page = `
import { ApiError, createClient, type Todo } from "todo-api/client"
const client = createClient({ url: "https://todo.example" })
const live = await client.todos.live()
const todos: readonly Todo[] = live.list({ is_completed: false }, "-created_at")
export const seconds = (error: unknown): number | undefined =>
  error instanceof ApiError && error.error_code === "TOO_MANY_REQUESTS" ? error.retry_after : todos.length
// @ts-expect-error: a todo needs a title
await client.todos.create({})
// @ts-expect-error: there is no such sort
live.list({}, "age")
await client.call(
  "get",
  // @ts-expect-error: a wrong path is what is wrong, not the method
  "/api/v1/todo",
)
`
const compiler = {
  strict: true,
  exactOptionalPropertyTypes: true,
  skipLibCheck: false,
  noEmit: true,
  target: "ES2022",
  module: "NodeNext",
  lib: ["ES2022", "DOM", "DOM.Iterable"],
  types: [],
}

test("what is built is one small module without dependencies, and works where it is installed", async () => {
  await using app = await startApp()
  using temporary = temporaryDirectory()
  const directory = temporary.path
  const installed = join(directory, "node_modules", "todo-api")
  mkdirSync(installed, { recursive: true })
  const built = join(directory, "built")
  expect(await buildClient(built)).toBeLessThan(15_000)
  const tarball = join(directory, "client.tgz")
  writeFileSync(tarball, packClient(built))
  Bun.spawnSync(["tar", "--extract", "--strip-components=1", "--file", tarball], { cwd: installed })
  const bundle = readFileSync(join(installed, "index.js"), "utf8")
  expect(bundle).not.toMatch(/\bimport\b\s*[{*"(]/)
  expect(JSON.parse(readFileSync(join(installed, "package.json"), "utf8"))).not.toHaveProperty(
    "dependencies",
  )

  writeFileSync(join(directory, "package.json"), '{"type": "module"}')
  writeFileSync(join(directory, "program.js"), program)
  for (const runtime of ["bun", "node", "deno"].filter((name) => Bun.which(name))) {
    const child = Bun.spawn(
      [runtime, ...(runtime === "deno" ? ["-A"] : []), "program.js", app.url, runtime],
      {
        cwd: directory,
        stderr: "inherit",
      },
    )
    expect(JSON.parse(await child.stdout.text())).toEqual([`${runtime}@example.org`, "Buy milk"])
    // It ends by itself: nothing keeps it.
    expect(await child.exited).toBe(0)
  }

  writeFileSync(join(directory, "page.ts"), page)
  const readme = readFileSync(join(import.meta.dir, "..", "..", "README.md"), "utf8")
  const sample = /```ts\n(import \{ ApiError.*?)```/s.exec(readme)?.[1] ?? "The sample is not there"
  writeFileSync(join(directory, "readme.ts"), sample)
  writeFileSync(
    join(directory, "tsconfig.json"),
    JSON.stringify({ compilerOptions: compiler, files: ["page.ts", "readme.ts"] }),
  )
  const compiled = Bun.spawnSync([process.execPath, "x", "tsc", "-p", directory])
  expect(compiled.stdout.toString()).toBe("")
  expect(compiled.exitCode).toBe(0)

  // The example application, as somebody has it who installs the package.
  cpSync(join(import.meta.dir, "..", "client", "examples", "todos"), join(directory, "todos"), {
    recursive: true,
  })
  for (const name of ["react", "react-dom", "@types", "csstype"])
    symlinkSync(
      join(import.meta.dir, "../../node_modules", name),
      join(directory, "node_modules", name),
    )
  const config = JSON.parse(readFileSync(join(directory, "todos", "tsconfig.json"), "utf8"))
  config.compilerOptions.paths = {}
  writeFileSync(join(directory, "todos", "tsconfig.json"), JSON.stringify(config))
  const example = Bun.spawnSync([process.execPath, "x", "tsc", "-p", join(directory, "todos")])
  expect(example.stdout.toString()).toBe("")

  // Resolvers that know no `exports` find the types, too.
  const old = { ...compiler, module: "ESNext", moduleResolution: "node10" }
  writeFileSync(
    join(directory, "tsconfig.json"),
    JSON.stringify({ compilerOptions: old, files: ["page.ts"] }),
  )
  const typescript5 = join(import.meta.dir, "../../node_modules/typescript-5/bin/tsc")
  const compiledOld = Bun.spawnSync([process.execPath, typescript5, "-p", directory])
  expect(compiledOld.stdout.toString()).toBe("")
}, 600_000)

test("the tarball has the same bytes for the same source", async () => {
  using temporary = temporaryDirectory()
  const build = async (name: string) => {
    await buildClient(join(temporary.path, name))
    return packClient(join(temporary.path, name))
  }
  expect(await build("one")).toEqual(await build("another"))
})
