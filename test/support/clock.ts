/** A monotonic clock that stands still until a test sets it forward, for what takes minutes. */
import { spyOn, test } from "bun:test"
import { binary } from "./command.ts"

/** For tests that set the clock: the one of an executable is out of reach. */
export const clockTest = test.skipIf(binary !== undefined)

export const setClock = () => {
  let now = performance.now()
  // No two moments are the same.
  const spy = spyOn(performance, "now").mockImplementation(() => {
    now += 0.001
    return now
  })
  return {
    advance(seconds: number) {
      now += seconds * 1_000
    },
    [Symbol.dispose]() {
      spy.mockRestore()
    },
  }
}
