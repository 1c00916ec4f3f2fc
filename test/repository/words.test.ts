/** Words of our own that were given up for those of the field do not come back. */
import { expect, test } from "bun:test"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"

const root = join(import.meta.dir, "../..")

/** Each with what is said instead. */
const REPLACED: [RegExp, string][] = [
  [/\b(?:in)?lanes?\b/i, "keyed queue, turn"],
  [/\bbrief(?:ly)?\b/i, "pipelined, short"],
  [/\bjudg(?:e[sd]?|ing)\b|\bjudgedAt\b|\bverdicts?\b/i, "verify, verification"],
  [/\bforg(?:ive[sn]?|ave|iving)\b/i, "reset, uncounted"],
  [/\bfullUntil\b/, "blockedUntil"],
  [/\b(?:initial|first) walks?\b|\bwalk(?:s|ed)?\b/i, "initial sync, page"],
  [/\bfeeds?\b/i, "changes"],
  [/\bmoveOn\b|\bone chain\b/, "rotate"],
  [/\boutside[- ]users?\b|\busers? from outside\b/i, "federated user"],
  [/\bcop(?:y|ies) (?:of|that) (?:a client|the client|clients)\b|\bclass Copy\b/i, "replica"],
  [/\bseals?\b/i, "trailer"],
  [/\bthrottl(?:e|es|ing)\b/i, "rate limit"],
  [/\bowner-deletion\b/, "erase"],
]

const HERE = join("test", "repository", "words.test.ts")
const files = ["src", "test", "db", ".deploy", ".github", "README.md", ".ci/run"].flatMap((top) =>
  /\.md$|run$/.test(top)
    ? [top]
    : (readdirSync(join(root, top), { recursive: true }) as string[])
        .filter((name) => /\.(?:tsx?|md|yml)$/.test(name) && !name.includes("node_modules"))
        .map((name) => join(top, name)),
)

test("no file has a word that was replaced", () => {
  expect(files.length).toBeGreaterThan(300)
  const found = files
    .filter((file) => file !== HERE)
    .flatMap((file) =>
      readFileSync(join(root, file), "utf8")
        .split("\n")
        .flatMap((line, index) =>
          REPLACED.filter(([word]) => word.test(line)).map(
            ([, instead]) => `${file}:${index + 1}: ${line.trim()} (${instead})`,
          ),
        ),
    )
  expect(found).toEqual([])
})
