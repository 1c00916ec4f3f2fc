/** Numbers for people: medians, spreads, and a Markdown table. */

/** `share`: from 0 to less than 1. */
export const percentile = (values: number[], share: number): number => {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.floor(sorted.length * share)] ?? Number.NaN
}

export const median = (values: number[]): number => percentile(values, 0.5)

/** `1.02 (0.98–1.05)`: the median, the least and the most. */
export const spread = (values: number[]) => {
  const [middle, least, most] = [median(values), Math.min(...values), Math.max(...values)].map(
    (value) => value.toFixed(2),
  )
  return `${middle} (${least}–${most})`
}

export const table = (rows: Record<string, string>[]): string => {
  const lines = rows.map((row) => `| ${Object.values(row).join(" | ")} |`)
  const names = Object.keys(rows[0] ?? {})
  return [`| ${names.join(" | ")} |`, `|${names.map(() => "---|").join("")}`, ...lines, ""].join(
    "\n",
  )
}
