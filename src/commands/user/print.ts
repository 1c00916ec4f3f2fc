/** What commands print: JSON for scripts, and tables for people. */
import { type Flags, print } from "../command.ts"

type Cell = string | number | null | undefined

/** A terminal obeys control characters, and an email may come from anybody. */
const visible = (cell: Cell) => String(cell ?? "-").replaceAll(/\p{C}/gu, "\u{fffd}")

/** Columns as wide as they need to be. */
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

/** One JSON value, or the rows: of a list with a head, of one thing with its members' names. */
export const show = ({ json }: Flags, value: object, rows: Cell[][]) =>
  print(json ? `${JSON.stringify(value)}\n` : table(rows))

export const membersOf = (value: { [name: string]: Cell }): Cell[][] =>
  Object.entries(value).map(([name, cell]) => [name, cell])
