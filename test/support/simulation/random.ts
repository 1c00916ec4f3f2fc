/** Random numbers from a seed. */

/** The algorithm is Mulberry32. */
export const createRandom = (seed: number) => {
  let state = seed >>> 0
  const random = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const below = (limit: number) => Math.floor(random() * limit)
  const chance = (probability: number) => random() < probability
  const oneOf = <T>(values: readonly T[]): T | undefined => values[below(values.length)]
  return { random, below, chance, oneOf }
}

export type Random = ReturnType<typeof createRandom>
