/** A monotonic clock that tests can set forward, for what takes minutes. */
import { spyOn, test } from "bun:test"
import { binary } from "./command.ts"

/** For tests that set the clock: the one of an executable is out of reach. */
export const clockTest = test.skipIf(binary !== undefined)

export const setClock = () => {
  let ahead = 0
  const now = performance.now.bind(performance)
  const spy = spyOn(performance, "now").mockImplementation(() => now() + ahead)
  return {
    advance(seconds: number) {
      ahead += seconds * 1_000
    },
    [Symbol.dispose]() {
      spy.mockRestore()
    },
  }
}
