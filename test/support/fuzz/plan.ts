/** What a seed does to connections. */
import type { Random } from "../simulation/random.ts"
import type { Fault, Plan } from "./proxy.ts"

const KINDS = {
  /** They fail nothing by themselves: whatever was asked is answered. */
  gentle: ["delay", "notice", "forget", "forget"],
  rough: ["cut", "cut", "fatal", "delay", "forget"],
} as const

const faultOf = (random: Random, kind: Fault["kind"]): Fault => {
  if (kind === "delay") return { kind, milliseconds: random.below(8) }
  if (kind !== "cut") return { kind }
  return { kind, part: random.oneOf([0, 0.3, 0.99, 1]) ?? 0, isReset: random.chance(0.5) }
}

export const planOf = (random: Random, isRough: boolean): Plan => {
  const faults = new Map<string, Fault>()
  for (let n = random.below(isRough ? 3 : 6); n > 0; n--) {
    const kind = random.oneOf(KINDS[isRough ? "rough" : "gentle"]) ?? "delay"
    const isOfClient =
      kind === "forget" || (kind !== "notice" && kind !== "fatal" && random.chance(0.5))
    const place = random.below(random.chance(0.3) ? 12 : 80)
    faults.set(`${isOfClient ? "c" : "s"}${place}`, faultOf(random, kind))
  }
  return {
    faults,
    pieces: random.chance(0.25) ? 1 + random.below(9) : 0,
    cancelDelay: random.below(300),
  }
}
