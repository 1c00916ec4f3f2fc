/** The module graph: no circles, no import from a room above, and no feature that knows another. */
import { expect, test } from "bun:test"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { dirname, join, normalize } from "node:path"

const source = join(import.meta.dir, "../..", "src")

/** Files and folders of src, the lowest first: each may import from those before it. */
const FLOORS = [
  "client",
  "version.ts",
  "config",
  "log.ts",
  "concurrency",
  "data-dir",
  "keys",
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

test("every file that the documentation names is there", () => {
  const root = join(source, "..")
  const pages = [
    "README.md",
    "src/README.md",
    "src/accounts/ASVS.md",
    "db/README.md",
    "db/CITUS.md",
  ]
  const named = pages.flatMap((page) => [
    ...readFileSync(join(root, page), "utf8").matchAll(
      /`((?:[\w.-]+\/)+[\w.-]+\.ts|(?:[\w.-]+\/){2,})`/g,
    ),
  ])
  const paths = named.map(([, path = ""]) => path)
  expect(paths.length).toBeGreaterThan(20)
  expect(
    paths.filter((path) => !existsSync(join(source, path)) && !existsSync(join(root, path))),
  ).toEqual([])
})
