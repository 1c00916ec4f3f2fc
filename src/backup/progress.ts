/** Shows the progress of a backup or a restore on a terminal. Writes nothing to a pipe. */

const EVERY_MS = 200

/** Called with what has been added. */
export type Progress = (rows: number, bytes: number) => void

const megabytes = (bytes: number) => (bytes / 1e6).toFixed(1)

export const createProgress = (doing: string) => {
  const screen = process.stderr
  const startedAt = performance.now()
  let [rows, bytes, shownAt] = [0, 0, 0]
  const show = () => {
    shownAt = performance.now()
    const rate = (bytes / Math.max(shownAt - startedAt, 1)) * 1_000
    screen.write(
      `\r${doing}: ${rows.toLocaleString("en")} rows, ${megabytes(bytes)} MB, ${megabytes(rate)} MB/s\x1b[K`,
    )
  }
  const onProgress: Progress = (moreRows, moreBytes) => {
    rows += moreRows
    bytes += moreBytes
    if (screen.isTTY && performance.now() - shownAt > EVERY_MS) show()
  }
  const done = () => {
    if (!screen.isTTY) return
    show()
    screen.write("\n")
  }
  return { onProgress, done }
}
