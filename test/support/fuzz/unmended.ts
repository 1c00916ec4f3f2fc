/**
 * Takes mends of postgres.js back, so that a seed can show what they mend: preloaded, and UNMENDED holds parts
 * of lines of .ci/patches, one a line.
 */
import { plugin } from "bun"

type Hunk = { file: string; start: number; changes: string[] }

const readHunks = (patch: string): Hunk[] =>
  patch.split(/^diff --git a\//m).flatMap((part) => {
    const [file = ""] = part.split(" ")
    return [...part.matchAll(/^@@ -\S+ \+(\d+)\S* @@.*\n((?:[-+ ].*\n)*)/gm)].map(
      ([, start, changes = ""]) => ({
        file,
        start: Number(start) - 1,
        changes: changes.split("\n").slice(0, -1),
      }),
    )
  })

const without = (changes: string[], mark: string) =>
  changes.filter((line) => !line.startsWith(mark)).map((line) => line.slice(1))

const patch = await Bun.file(`${import.meta.dir}/../../../.ci/patches/postgres@3.4.9.patch`).text()
const hunks = readHunks(patch)
const unmended = (process.env["UNMENDED"] ?? "").split("\n").map((part) => {
  const found = hunks.filter(({ changes }) =>
    changes.some((line) => !line.startsWith(" ") && line.includes(part)),
  )
  if (found.length !== 1) throw new Error(`${found.length} hunks hold ${part}`)
  return found[0] as Hunk
})

plugin({
  name: "unmended",
  setup(build) {
    build.onLoad({ filter: /\/postgres\/src\/\w+\.js$/ }, async ({ path }) => {
      const lines = (await Bun.file(path).text()).split("\n")
      const own = unmended.filter(({ file }) => path.endsWith(`/postgres/${file}`))
      for (const { start, changes } of own.toSorted((a, b) => b.start - a.start)) {
        const mended = without(changes, "-")
        if (!Bun.deepEquals(lines.slice(start, start + mended.length), mended))
          throw new Error(`the patch is not applied: ${mended.join("\n")}`)
        lines.splice(start, mended.length, ...without(changes, "+"))
      }
      return { contents: lines.join("\n"), loader: "js" }
    })
  },
})
