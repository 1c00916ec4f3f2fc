/** Shows the progress of a backup or a restore on a terminal. Writes nothing to a pipe. */
import type { Progress } from "./archive.ts"

const EVERY_MS = 200

const megabytes = (bytes: number) => (bytes / 1e6).toFixed(1)

export const createProgress = (
  screen: { isTTY?: boolean; write(text: string): unknown },
  doing: string,
) => {
  const startedAt = performance.now()
  let shownAt = Number.NEGATIVE_INFINITY
  let line = ""
  const show = (rows: number, bytes: number) => {
    const seconds = Math.max(performance.now() - startedAt, 1) / 1_000
    line = `${doing}: ${rows.toLocaleString("en")} rows, ${megabytes(bytes)} MB, ${megabytes(bytes / seconds)} MB/s`
    shownAt = performance.now()
    screen.write(`\r${line}\x1b[K`)
  }
  let last: [rows: number, bytes: number] = [0, 0]
  const onProgress: Progress = (rows, bytes) => {
    last = [rows, bytes]
    if (screen.isTTY && performance.now() - shownAt > EVERY_MS) show(rows, bytes)
  }
  const done = () => {
    if (!screen.isTTY) return
    show(...last)
    screen.write("\n")
  }
  return { onProgress, done }
}
