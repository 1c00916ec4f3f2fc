/** The module graph: no circles, no import from a room above, and no feature that knows another. */
import { expect, test } from "bun:test"
import { readdirSync, readFileSync } from "node:fs"
import { dirname, join, normalize } from "node:path"

const source = join(import.meta.dir, "../..", "src")

/** Files and folders of src, the lowest first: each may import from those before it. */
const FLOORS = [
  "client",
  "errors.ts",
  "config-error.ts",
  "version.ts",
  "log.ts",
  "jobs",
  "data-dir.ts",
  "keys",
  "licenses",
  "programs",
  "database",
  "http",
  "config",
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

const findCircle = (): string[] => {
  const done = new Set<string>()
  const visit = (file: string, path: string[]): string[] => {
    const start = path.indexOf(file)
    if (start !== -1) return [...path.slice(start), file]
    if (done.has(file)) return []
    for (const next of graph.get(file) ?? []) {
      const circle = visit(next, [...path, file])
      if (circle.length > 0) return circle
    }
    done.add(file)
    return []
  }
  for (const file of files) {
    const circle = visit(file, [])
    if (circle.length > 0) return circle
  }
  return []
}

const imports = [...graph].flatMap(([from, targets]) => targets.map((to) => ({ from, to })))

test("no files import each other in a circle", () => {
  expect(imports.length).toBeGreaterThan(100)
  expect(findCircle()).toEqual([])
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

test("the client imports nothing but itself, and Node's file system for its file", () => {
  const packages = files
    .filter((file) => roomOf(file) === "client")
    .flatMap((file) => [
      ...readFileSync(join(source, file), "utf8").matchAll(/from\s+"([^."][^"]*)"/g),
    ])
    .map(([, name]) => name)
  expect(new Set(packages)).toEqual(new Set(["node:fs/promises", "node:path"]))
  const outside = imports.filter(
    ({ from, to }) => roomOf(from) === "client" && roomOf(to) !== "client",
  )
  expect(outside).toEqual([])
})
