/** A monotonic clock that tests can set forward, for what takes minutes. */
import { spyOn } from "bun:test"

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
