/** The module graph: no circles, no import from a room above, and no feature that knows another. */
import { expect, test } from "bun:test"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { dirname, join, normalize } from "node:path"

const root = join(import.meta.dir, "../..")
const source = join(root, "src")

/** Files and folders of src, the lowest first: each may import from those before it. */
const FLOORS = [
  "client",
  "version.ts",
  "config",
  "log.ts",
  "concurrency",
  "data-dir",
  "keys.ts",
  "programs",
  "database",
  "http",
  "accounts",
  "todos",
  "backup",
  "app.ts",
  "service.ts",
  "commands",
  "main.ts",
]
const FEATURES = ["accounts", "todos"]

const roomOf = (file: string) => file.split("/")[0] ?? file

const IMPORT = /(?:from|import)\s*\(?\s*"(\.{1,2}\/[^"]+\.ts)"/g

const files = (readdirSync(source, { recursive: true }) as string[]).filter(
  (file) => file.endsWith(".ts") && !file.endsWith(".d.ts"),
)

/** Imports of types count, too: they tie files together as much. */
const graph = new Map(
  files.map((file) => {
    const text = readFileSync(join(source, file), "utf8")
    const imported = [...text.matchAll(IMPORT)].map(([, path = ""]) =>
      normalize(join(dirname(file), path)),
    )
    return [file, imported]
  }),
)

const findCircle = (graph: Map<string, Iterable<string>>): string[] => {
  const done = new Set<string>()
  const visit = (node: string, path: string[]): string[] => {
    const start = path.indexOf(node)
    if (start !== -1) return [...path.slice(start), node]
    if (done.has(node)) return []
    for (const next of graph.get(node) ?? []) {
      const circle = visit(next, [...path, node])
      if (circle.length > 0) return circle
    }
    done.add(node)
    return []
  }
  for (const node of graph.keys()) {
    const circle = visit(node, [])
    if (circle.length > 0) return circle
  }
  return []
}

/** In the folder that holds both files: the entries, files or folders, that they are found by. */
const entriesOf = (from: string, to: string): [string, string] => {
  const [a, b] = [from.split("/"), to.split("/")]
  const depth = a.findIndex((name, index) => name !== b[index]) + 1
  return [a.slice(0, depth).join("/"), b.slice(0, depth).join("/")]
}

const imports = [...graph].flatMap(([from, targets]) => targets.map((to) => ({ from, to })))

test("no files import each other in a circle", () => {
  expect(imports.length).toBeGreaterThan(100)
  expect(findCircle(graph)).toEqual([])
})

test("no files or folders that lie side by side import each other in a circle", () => {
  const entries = new Map<string, Set<string>>()
  for (const [from, to] of imports.map(({ from, to }) => entriesOf(from, to)))
    entries.getOrInsertComputed(from, () => new Set()).add(to)
  expect(findCircle(entries)).toEqual([])
})

test("every room has its floor, and imports only from the floors below", () => {
  const floor = (file: string) => FLOORS.indexOf(roomOf(file))
  expect(files.filter((file) => floor(file) === -1)).toEqual([])
  expect(imports.filter(({ from, to }) => floor(to) > floor(from))).toEqual([])
})

test("no feature imports another", () => {
  const between = imports.filter(
    ({ from, to }) =>
      roomOf(from) !== roomOf(to) &&
      FEATURES.includes(roomOf(from)) &&
      FEATURES.includes(roomOf(to)),
  )
  expect(between).toEqual([])
})

/** What a module could leave behind when it is imported: all but main.ts, which runs. */
const EFFECTS = `
import { TypeRegistry } from "@sinclair/typebox"
import "elysia"
import { readdirSync } from "node:fs"
const state = () => ({
  files: readdirSync(".").length,
  globals: Object.getOwnPropertyNames(globalThis).length,
  listeners: process.eventNames().map((name) => [String(name), process.listenerCount(name)]),
  resources: process.getActiveResourcesInfo(),
  types: TypeRegistry.Entries().size,
  variables: { ...process.env },
})
const before = state()
for (const file of process.argv.slice(1)) await import(file)
await Bun.sleep(1)
console.log(JSON.stringify([before, state()]))
`

test("importing a module has no effect", () => {
  const modules = files.filter((file) => file !== "main.ts").map((file) => join(source, file))
  const { stdout, stderr } = Bun.spawnSync([process.execPath, "-e", EFFECTS, ...modules], {
    cwd: root,
  })
  expect(stderr.toString()).toBe("")
  const [before, after] = JSON.parse(stdout.toString())
  expect(after).toEqual(before)
})

test("the client imports nothing but itself, Node's file system for its file, and React for its hooks", () => {
  const packages = files
    .filter((file) => roomOf(file) === "client")
    .flatMap((file) => [
      ...readFileSync(join(source, file), "utf8").matchAll(/from\s+"([^."][^"]*)"/g),
    ])
    .map(([, name]) => name)
  expect(new Set(packages)).toEqual(new Set(["node:fs/promises", "node:path", "react"]))
  const outside = imports.filter(
    ({ from, to }) => roomOf(from) === "client" && roomOf(to) !== "client",
  )
  expect(outside).toEqual([])
})

const pages = [
  "README.md",
  ".deploy/README.md",
  ".deploy/UPGRADING.md",
  ".github/CONTRIBUTING.md",
  ".github/SECURITY.md",
  "db/CITUS.md",
  "db/README.md",
  "src/README.md",
  "src/accounts/ASVS.md",
  "src/client/README.md",
  "test/bench/README.md",
]
const textOf = (page: string) => readFileSync(join(root, page), "utf8")

test("every file that the documentation names is there", () => {
  const named = pages.flatMap((page) => [
    ...textOf(page).matchAll(/`((?:[\w.-]+\/)+[\w.-]+\.ts|(?:[\w.-]+\/){2,})`/g),
  ])
  const paths = named.map(([, path = ""]) => path)
  expect(paths.length).toBeGreaterThan(20)
  const isMissing = (path: string) =>
    [source, root, join(root, "test/system")].every((above) => !existsSync(join(above, path)))
  expect(paths.filter(isMissing)).toEqual([])
})

/** As GitHub makes them. */
const anchorsOf = (page: string) =>
  [...textOf(page).matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, "")
      .replaceAll(/\s/g, "-"),
  )

test("every link of the documentation leads to a file, and to a heading of it", () => {
  const links = pages.flatMap((page) =>
    [...textOf(page).matchAll(/\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)/g)].map(
      ([, path = "", anchor]) => ({
        page,
        to: path && normalize(join(dirname(page), path)),
        anchor,
      }),
    ),
  )
  expect(links.length).toBeGreaterThan(20)
  const isDead = ({ page, to, anchor }: (typeof links)[number]) =>
    !existsSync(join(root, to)) || (anchor !== undefined && !anchorsOf(to || page).includes(anchor))
  expect(links.filter(isDead)).toEqual([])
})
