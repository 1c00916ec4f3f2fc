/** Prints results: JSON for scripts, tables for people. */
import { type Flags, print } from "./command.ts"

type Cell = string | number | null | undefined

/** Replaces control characters, which a terminal obeys: an email may come from anybody. */
const visible = (cell: Cell) => String(cell ?? "-").replaceAll(/\p{C}/gu, "\u{fffd}")

/** A table with columns of fitting width. */
const table = (rows: Cell[][]) => {
  const cells = rows.map((row) => row.map(visible))
  const widths = cells[0]?.map((_, at) => Math.max(...cells.map((row) => row[at]?.length ?? 0)))
  return cells
    .map(
      (row) =>
        `${row
          .map((cell, at) => cell.padEnd(widths?.[at] ?? 0))
          .join("  ")
          .trimEnd()}\n`,
    )
    .join("")
}

/** Prints the value as JSON, or the rows as a table. */
export const show = ({ json }: Flags, value: object, rows: Cell[][]) =>
  print(json ? `${JSON.stringify(value)}\n` : table(rows))

export const membersOf = (value: { [name: string]: Cell }): Cell[][] =>
  Object.entries(value).map(([name, cell]) => [name, cell])
