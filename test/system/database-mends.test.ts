/**
 * Each mend of .ci/patches is taken back, and a seed fails. Three need other tests, of postgres-patch.test.ts:
 * that statements are late, that a missing TLS has no name, and that errors hold texts, which 130 seeds show.
 */
import { expect, test } from "bun:test"
import { resolve } from "node:path"

/** A part of a changed line of each of its hunks, and a seed that fails without them. */
const MENDS: { mend: string; lines: string[]; seed: number }[] = [
  { mend: "nothing is sent again", lines: ["errored(errorResponse)"], seed: 9 },
  {
    mend: "no connection is opened again",
    lines: [
      "return reconnect()",
      "move(c, ended)",
      "ending || ended.length",
      "while (queries.length && ended",
    ],
    seed: 0,
  },
  { mend: "types are what the values are", lines: ["function ParameterDescription"], seed: 9 },
  { mend: "values stay what they are", lines: ["x = type in"], seed: 70 },
  { mend: "an error ends the count of rows", lines: ["rows = 0"], seed: 12 },
  { mend: "built before it is queued", lines: ["message = toBuffer(q)"], seed: 0 },
  { mend: "a COPY fails its stream", lines: ["setImmediate(() => s.destroy(err))"], seed: 51 },
  { mend: "the socket goes on after a COPY", lines: ["    socket.resume()"], seed: 6 },
  {
    mend: "a COPY that is left",
    lines: ["stream === this && (stream = null, socket.destroy"],
    seed: 18,
  },
  {
    mend: "a COPY that is whole",
    lines: ["stream === this && (stream = null, socket.write"],
    seed: 3,
  },
  { mend: "a commit is read", lines: ["last('commit')"], seed: 3 },
  { mend: "a rollback that fails", lines: ["last('rollback')"], seed: 198 },
  {
    mend: "nothing after the end of a transaction",
    lines: ["if (over && !q.options.last)"],
    seed: 3,
  },
  { mend: "nothing in a transaction that is lost", lines: ["connection.onclose = x"], seed: 63 },
  { mend: "nothing on a connection that is lost", lines: ["options)) || true"], seed: 63 },
  {
    mend: "an instance that ends while it is opened",
    lines: ["const idle", "idle && socket.readyState"],
    seed: 69,
  },
  { mend: "a cancel ends with its connection", lines: ["ended = resolve"], seed: 0 },
]

const directory = resolve(import.meta.dir, "../support/fuzz")

/** What goes wrong in the seed without the mend. */
const problemsWithout = async (lines: string[], seed: number) => {
  const command = [process.execPath, "--preload", `${directory}/unmended.ts`, `${directory}/run.ts`]
  const env = { ...process.env, UNMENDED: lines.join("\n") }
  // What happens at the same time is not the same each time: many attempts.
  const child = Bun.spawn([...command, `${seed}`, "1", "50"], { env, stderr: "pipe" })
  const [out, err] = await Promise.all([child.stdout.text(), child.stderr.text()])
  if (!/^\d+ seeds from/m.test(out)) throw new Error(`${out}\n${err}`)
  return out.match(/^\d+: .*/gm) ?? []
}

// At once: most of the time they wait for what hangs.
for (const { mend, lines, seed } of MENDS)
  test.concurrent(mend, async () => {
    expect(await problemsWithout(lines, seed)).not.toEqual([])
  }, 1_200_000)
