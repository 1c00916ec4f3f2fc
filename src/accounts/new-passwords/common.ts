/** The most common passwords: 180 KB, which are loaded when somebody chooses a password. */
import common from "./common.txt" with { type: "text" }

/** A search through all of them takes some 30 µs, and no memory for a set. */
export const isCommon = (password: string) =>
  !password.includes("\n") && common.includes(`\n${password}\n`)
