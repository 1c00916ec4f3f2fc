/** Cursors and entity tags: what a list gives to clients that they can neither make up nor use elsewhere. */
import { badRequest } from "../../http/problem.ts"
import { createMac, type Secrets } from "../../keys.ts"

/** The position of a row in an order: its id, and its sort key as Postgres writes it. */
export type Position = { key: string; id: number }

/** The version of the format. Cursors of another one are refused as forged. */
const FORM = 1

const wrongCursor = () =>
  badRequest([{ parameter: "cursor", message: "is not from a link of this list" }])

/** `list`: what the cursor is bound to, apart from its user; for todos their order and filters. */
export const createCursors = (secrets: Secrets) => {
  const mac = createMac(secrets, "cursors")
  const signed = (position: string, ownerId: number, list: readonly unknown[]) =>
    JSON.stringify([FORM, ownerId, ...list, position])
  return {
    write({ key, id }: Position, ownerId: number, list: readonly unknown[]): string {
      const position = Buffer.from(JSON.stringify([key, id])).toString("base64url")
      return `${position}.${mac.sign(signed(position, ownerId, list))}`
    },

    /** Throws a 400 unless `write` made it for the same user and list. */
    read(cursor: string, ownerId: number, list: readonly unknown[]): Position {
      const [position = "", signature = ""] = cursor.split(/\.(.*)/s)
      if (!mac.verify(signed(position, ownerId, list), signature)) throw wrongCursor()
      const [key, id] = JSON.parse(Buffer.from(position, "base64url").toString())
      return { key, id }
    },
  }
}
export type Cursors = ReturnType<typeof createCursors>

/**
 * Entity tags of the state of a user's list. A browser revalidates what it has stored for another user,
 * too: so no two users have the same tag. Weak, because a list that changes while it is streamed may
 * contain a part of the change.
 */
export const createListTags = (secrets: Secrets) => {
  const mac = createMac(secrets, "lists")
  return (ownerId: number, state: string) => `W/"${mac.sign(`${ownerId} ${state}`)}"`
}
export type ListTags = ReturnType<typeof createListTags>
