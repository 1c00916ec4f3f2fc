/** What the one file is made of, and whose notices it has to carry. */
import { expect, test } from "bun:test"
import { mkdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { notices, packagesOf } from "../../.ci/licenses.ts"
import { dependencies } from "../../package.json"
import { dbmatePackage, hostPlatform } from "../../src/programs/program.ts"
import { binary, runCommand } from "../support/command.ts"
import { temporaryDirectory } from "../support/temporary.ts"

const root = join(import.meta.dir, "../..")

test("the notices name every package, Bun, Postgres and what they link", () => {
  const text = notices(root)
  for (const [name, version] of Object.entries(dependencies))
    expect(text).toContain(`\n${name} ${version}\n`)
  for (const words of [
    "JavaScriptCore",
    "PostgreSQL Global Development Group",
    "The OpenSSL Project",
    "Unicode, Inc.",
    "Daniel Veillard",
    "Jean-loup Gailly",
    "Lasse Collin",
    "The Go Authors",
  ])
    expect(text).toContain(words)
})

test.if(binary === undefined)("from source licenses says to build", async () => {
  const { code, out, err } = await runCommand(["licenses"])
  expect({ code, out }).toEqual({ code: 1, out: "" })
  expect(err).toContain("bun run build")
  expect((await runCommand(["licenses", "x"])).code).toBe(64)
})

test("the notices name every Go module that is linked into dbmate", () => {
  const text = readFileSync(join(root, ".ci", "licenses", "go.txt"), "utf8").split("\n")
  const dbmate = readFileSync(join(dbmatePackage(hostPlatform, root), "bin", "dbmate"), "latin1")
  // A Go program names the modules that it is made of, more than once.
  const modules = new Set([...dbmate.matchAll(/\ndep\t([^\t\n]+)\t/g)].map(([, name]) => name))
  expect(modules.size).toBeGreaterThan(50)
  expect([...modules].filter((name) => !text.includes(name ?? ""))).toEqual([])
})

test("what is installed for another platform, below this machine's packages, takes none of these", async () => {
  using directory = temporaryDirectory()
  const put = async (path: string, manifest: object) => {
    mkdirSync(join(directory.path, path), { recursive: true })
    await Bun.write(join(directory.path, path, "package.json"), JSON.stringify(manifest))
  }
  await put("node_modules/tool-x64", { name: "tool-x64", version: "1.0.0" })
  await put("node_modules/.cache/arm64", { optionalDependencies: { "tool-x64": "", tool: "" } })
  await put("node_modules/.cache/arm64/node_modules/tool", { name: "tool", version: "1.0.0" })
  const found = packagesOf(join(directory.path, "node_modules/.cache/arm64"))
  expect(found.map(({ name }) => name)).toEqual(["tool"])
})
