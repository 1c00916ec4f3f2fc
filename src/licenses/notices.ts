/** Collects the notices of everything in the executable: npm packages, Bun, Postgres and dbmate. */
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { type Package, packagesOf } from "./packages.ts"

const RULE = `\n\n${"=".repeat(80)}\n`

/** Notices that no package contains. They are in texts/. */
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

/** `root` is where package.json is, `texts` the directory texts/. */
export const notices = (root: string, texts: string): string => {
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
