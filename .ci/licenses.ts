/** Collects the notices of everything in the executable: npm packages, Bun, Postgres and dbmate. */
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { dirname, join } from "node:path"

type Names = Record<string, string>
type Manifest = {
  name: string
  version: string
  license?: string
  author?: string | { name: string }
  dependencies?: Names
  optionalDependencies?: Names
  peerDependencies?: Names
  peerDependenciesMeta?: Record<string, { optional?: boolean }>
}

type Package = {
  name: string
  version: string
  license: string
  author: string
  directory: string
}

const readManifest = (directory: string) =>
  JSON.parse(readFileSync(join(directory, "package.json"), "utf8")) as Manifest

/**
 * Looks into the nearest node_modules above, as Node does, but not above the root: packages for another
 * platform are installed below a node_modules that has those of this machine.
 */
const directoryOf = (name: string, from: string, root: string): string | undefined => {
  const directory = join(from, "node_modules", name)
  if (existsSync(join(directory, "package.json"))) return directory
  return from === root ? undefined : directoryOf(name, dirname(from), root)
}

/** Optional packages are not installed on every platform. */
const namesOf = (manifest: Manifest) => {
  const isNeeded = (name: string) => !manifest.peerDependenciesMeta?.[name]?.optional
  return [
    ...Object.keys({ ...manifest.dependencies, ...manifest.optionalDependencies }),
    ...Object.keys(manifest.peerDependencies ?? {}).filter(isNeeded),
  ]
}

/** Sorted by name and version. `root` is where package.json and node_modules are. */
export const packagesOf = (root: string): Package[] => {
  const found = new Map<string, Package>()
  const needsOf = (directory: string, manifest: Manifest) =>
    namesOf(manifest)
      .map((name) => directoryOf(name, directory, root))
      .filter((needed) => needed !== undefined)
  const visit = (directory: string) => {
    if (found.has(directory)) return
    const manifest = readManifest(directory)
    const { name, version, license = "", author = "" } = manifest
    const needs = needsOf(directory, manifest)
    const authorName = typeof author === "string" ? author : author.name
    found.set(directory, { name, version, license, author: authorName, directory })
    needs.forEach(visit)
  }
  needsOf(root, readManifest(root)).forEach(visit)
  return [...found.values()].sort((a, b) =>
    `${a.name}@${a.version}` < `${b.name}@${b.version}` ? -1 : 1,
  )
}

const RULE = `\n\n${"=".repeat(80)}\n`

/** Notices that no package contains. They are in licenses/. */
const PROGRAMS = {
  "bun.md": "Bun, which runs the service, and what is linked into it",
  "postgresql.txt": "PostgreSQL, the embedded database",
  "openssl.txt": "OpenSSL 1.1.1, linked by PostgreSQL",
  "icu.txt": "ICU, linked by PostgreSQL",
  "libxml2.txt": "libxml2, linked by PostgreSQL",
  "zlib.txt": "zlib, linked by PostgreSQL",
  "xz.txt": "liblzma (XZ Utils), linked by PostgreSQL",
  "go.txt": "Go, and the Go modules that are linked into dbmate",
}

const NOTICE = /^(licen[cs]e|copying|notice|copyright)/i

const unlicense = `This is free and unencumbered software released into the public domain: see <https://unlicense.org>.`

const mit = (author: string) => `MIT License

Copyright (c) ${author || "its authors"}

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and
associated documentation files (the "Software"), to deal in the Software without restriction,
including without limitation the rights to use, copy, modify, merge, publish, distribute,
sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial
portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT
LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN
NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY,
WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE
SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.`

/** Some packages name their license without its text. */
const missingText = ({ license, author }: Package) => {
  if (license === "MIT") return mit(author)
  return license === "Unlicense" ? unlicense : `License: ${license}`
}

const textOf = (found: Package) => {
  const files = readdirSync(found.directory, { withFileTypes: true })
    .filter((entry) => entry.isFile() && NOTICE.test(entry.name))
    .map(({ name }) => readFileSync(join(found.directory, name), "utf8").trim())
    .sort()
  return files.length > 0 ? files.join("\n\n") : missingText(found)
}

const texts = join(import.meta.dir, "licenses")

/** `root` is where package.json is. */
export const notices = (root: string): string => {
  // Many packages have exactly the same text.
  const packages = Map.groupBy(packagesOf(root), textOf)
  const sections = [
    "todo-api is made of the following. The notices are those of its authors.",
    ...Object.entries(PROGRAMS).map(
      ([file, title]) => `${title}\n\n${readFileSync(join(texts, file), "utf8").trim()}`,
    ),
    ...[...packages].map(([text, named]) =>
      [...new Set(named.map(({ name, version }) => `${name} ${version}`)), "", text].join("\n"),
    ),
  ]
  return `${sections.join(RULE)}\n`
}
