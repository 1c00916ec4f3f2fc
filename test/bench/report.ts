/** Numbers for people: medians, spreads, and a Markdown table. */

export const median = (values: number[]): number => {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[sorted.length >> 1] ?? Number.NaN
}

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
