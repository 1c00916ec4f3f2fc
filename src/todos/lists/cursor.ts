/** Cursors: a place in a list that a client can keep, but neither make up nor use for another list. */
import { createHmac, hkdfSync, timingSafeEqual } from "node:crypto"
import { badRequest } from "../../errors.ts"
import type { Selection } from "./model.ts"

/** A row's place in an order: its sort key as Postgres prints it, which loses nothing, and its id. */
export type Place = { key: string; id: number }

/** Cursors of another form are refused like those that were tampered with. */
const FORM = 1

const wrongCursor = () =>
  badRequest([{ parameter: "cursor", message: "is not from a link of this list" }])

/** All instances that share a secret key take each other's cursors. */
export const createCursors = (secretKey: string) => {
  const key = Buffer.from(hkdfSync("sha256", secretKey, "", "todo-api cursors", 32))

  const signature = (place: string, ownerId: number, { sort, isCompleted, q }: Selection) =>
    createHmac("sha256", key)
      .update(JSON.stringify([FORM, ownerId, sort, isCompleted ?? null, q ?? null, place]))
      .digest("base64url")

  return {
    write({ key, id }: Place, ownerId: number, selection: Selection): string {
      const place = Buffer.from(JSON.stringify([key, id])).toString("base64url")
      return `${place}.${signature(place, ownerId, selection)}`
    },

    /** Throws a 400 unless `write` made it for the same user, sort and filters. */
    read(cursor: string, ownerId: number, selection: Selection): Place {
      const [place = "", signed = ""] = cursor.split(/\.(.*)/s)
      const expected = Buffer.from(signature(place, ownerId, selection))
      const actual = Buffer.from(signed)
      if (actual.length !== expected.length || !timingSafeEqual(actual, expected))
        throw wrongCursor()
      const [key, id] = JSON.parse(Buffer.from(place, "base64url").toString())
      return { key, id }
    },
  }
}
export type Cursors = ReturnType<typeof createCursors>
