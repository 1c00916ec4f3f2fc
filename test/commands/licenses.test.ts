/** What the one file is made of, and whose notices it has to carry. */
import { expect, test } from "bun:test"
import { mkdirSync, readFileSync } from "node:fs"
import { dirname, join } from "node:path"
import Ajv from "ajv"
import addFormats from "ajv-formats"
import { goModules, sbom } from "../../.ci/sbom.ts"
import { dependencies } from "../../package.json"
import { packagesOf } from "../../src/licenses/packages.ts"
import { dbmatePackage, hostPlatform } from "../../src/programs/npm-packages.ts"
import { runCommand } from "../support/command.ts"
import { temporaryDirectory } from "../support/temporary.ts"

const root = join(import.meta.dir, "../..")

test("licenses prints the notices of every package, of Bun, of Postgres and of what they link", async () => {
  const { code, out, err } = await runCommand(["licenses"])
  expect({ code, err }).toEqual({ code: 0, err: "" })
  for (const name of Object.keys(dependencies)) expect(out).toContain(`\n${name} `)
  for (const { name, version } of packagesOf(root)) expect(out).toContain(`${name} ${version}\n`)
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
    expect(out).toContain(words)
  expect((await runCommand(["licenses", "x"])).code).toBe(64)
})

test("the notices name every Go module that is linked into dbmate", () => {
  const text = readFileSync(join(root, "src", "licenses", "texts", "go.txt"), "utf8").split("\n")
  const modules = goModules(join(dbmatePackage(hostPlatform, root), "bin", "dbmate"))
  expect(modules.length).toBeGreaterThan(50)
  expect(modules.map(({ name }) => name).filter((name) => !text.includes(name))).toEqual([])
})

const schemas = join(
  dirname(Bun.resolveSync("@cyclonedx/cyclonedx-library/package.json", root)),
  "res/schema",
)
const schema = (name: string) =>
  JSON.parse(readFileSync(join(schemas, `${name}.SNAPSHOT.schema.json`), "utf8"))

test("the bill of materials is valid CycloneDX 1.6, and names what the file is made of", () => {
  const document = sbom(hostPlatform, root, "0".repeat(64))
  const ajv = new Ajv({ strict: false, formats: { "iri-reference": true, "idn-email": true } })
  addFormats(ajv)
  ajv.addSchema(schema("spdx"), "http://cyclonedx.org/schema/spdx.SNAPSHOT.schema.json")
  ajv.addSchema(schema("jsf-0.82"), "http://cyclonedx.org/schema/jsf-0.82.SNAPSHOT.schema.json")
  const validate = ajv.compile(schema("bom-1.6"))
  validate(document)
  expect(validate.errors).toBeNull()
  const names = document.components.map(({ name }) => name)
  for (const name of [...Object.keys(dependencies), "bun", "postgresql", "openssl", "icu"])
    expect(names).toContain(name)
  expect(names).toContain("github.com/lib/pq")
  expect(names).not.toContain("typescript")
  const refs = new Set(document.components.map((component) => component["bom-ref"]))
  expect(refs.size).toBe(document.components.length)
  for (const { ref, dependsOn } of document.dependencies) {
    if (ref !== document.metadata.component["bom-ref"]) expect(refs).toContain(ref)
    for (const needed of dependsOn) expect(refs).toContain(needed)
  }
  const elysia = document.components.find(({ name }) => name === "elysia")
  expect(elysia?.hashes?.[0]?.content).toMatch(/^[0-9a-f]{128}$/)
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
