/** An id in an answer: an integer that every JSON client can hold. */
import { Type } from "@sinclair/typebox"

/** Not Elysia's `t.Integer`: it reads strings too, and an answer that holds one is walked member by
 * member instead of being checked by compiled code, which takes five times as long. */
export const id = Type.Integer({
  // Without it clients of typed languages take 32 bits.
  format: "int64",
  minimum: 1,
  maximum: Number.MAX_SAFE_INTEGER,
})
