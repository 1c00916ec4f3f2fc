/** Cursors: signed positions in a list, which clients can neither make up nor use for other lists. */
import { badRequest } from "../../http/problem.ts"
import { createMac, type Secrets } from "../../keys/mac.ts"
import type { Selection } from "./parameters.ts"

/** The position of a row in an order: its id, and its sort key exactly as Postgres writes it. */
export type Position = { key: string; id: number }

/** The version of the format. Cursors of another one are refused as forged. */
const FORM = 1

const wrongCursor = () =>
  badRequest([{ parameter: "cursor", message: "is not from a link of this list" }])

/** The signed text. It makes a cursor good only for the same user, sort and filters. */
const signed = (position: string, ownerId: number, { sort, isCompleted, q }: Selection) =>
  JSON.stringify([FORM, ownerId, sort, isCompleted ?? null, q ?? null, position])

export const createCursors = (secrets: Secrets) => {
  const mac = createMac(secrets, "cursors")
  return {
    write({ key, id }: Position, ownerId: number, selection: Selection): string {
      const position = Buffer.from(JSON.stringify([key, id])).toString("base64url")
      return `${position}.${mac.sign(signed(position, ownerId, selection))}`
    },

    /** Throws a 400 unless `write` made it for the same user, sort and filters. */
    read(cursor: string, ownerId: number, selection: Selection): Position {
      const [position = "", signature = ""] = cursor.split(/\.(.*)/s)
      if (!mac.verify(signed(position, ownerId, selection), signature)) throw wrongCursor()
      const [key, id] = JSON.parse(Buffer.from(position, "base64url").toString())
      return { key, id }
    },
  }
}
export type Cursors = ReturnType<typeof createCursors>
