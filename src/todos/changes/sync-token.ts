/** States: signed texts that say how complete a client's copy is. Only the same user can use them. */
import { badRequest, Problem } from "../../http/problem.ts"
import { createMac, type Secrets } from "../../keys/mac.ts"

/** The owner's revision, the last one whose deletions are forgotten, and the epoch, which a restore renews. */
export type Feed = { epoch: string; revision: number; forgotten: number }

/**
 * - `complete`: the copy has everything up to `revision`.
 * - `changes`: the copy has all changes up to `revision`, and of that one those up to `id`. More follow
 *   at once. `until` is the owner's revision at the beginning.
 * - `walk`: the copy has the todos up to `id`, but may lack changes after `revision`. `until` is the highest
 *   id at the beginning.
 */
export type Place =
  | { kind: "complete"; revision: number }
  | { kind: "changes"; revision: number; id: number; until: number }
  | { kind: "walk"; revision: number; id: number; until: number }

/** The version of the format. States of another one are refused as forged. */
const FORM = 1

const kinds = ["complete", "changes", "walk"] as const

const wrongState = () =>
  badRequest([{ parameter: "since", message: "is not from an answer to this user" }])

const expired = () =>
  new Problem("CHANGES_EXPIRED", "Changes since then are not remembered: begin without since")

const signed = (payload: string, ownerId: number) => JSON.stringify([FORM, ownerId, payload])

export const createStates = (secrets: Secrets) => {
  const mac = createMac(secrets, "states")
  return {
    write(place: Place, epoch: string, ownerId: number): string {
      const { kind, revision } = place
      const more = place.kind === "complete" ? [] : [place.id, place.until]
      const payload = Buffer.from(
        JSON.stringify([epoch, kinds.indexOf(kind), revision, ...more]),
      ).toString("base64url")
      return `${payload}.${mac.sign(signed(payload, ownerId))}`
    },

    /** Throws a 400 unless `write` made it for the same user. */
    read(state: string, ownerId: number): Place & { epoch: string } {
      const [payload = "", signature = ""] = state.split(/\.(.*)/s)
      if (!mac.verify(signed(payload, ownerId), signature)) throw wrongState()
      const [epoch, kind, revision, id, until] = JSON.parse(
        Buffer.from(payload, "base64url").toString(),
      )
      return { epoch, kind: kinds[kind] ?? "complete", revision, id, until }
    },
  }
}
export type States = ReturnType<typeof createStates>

/**
 * Throws a 410 if some changes since the state are not remembered. A state that is ahead of the database
 * belongs to a database that was replaced by an older copy. A walk reads no deletions: it fails later, when
 * it goes on to the changes.
 */
export const checkPlace = (place: Place & { epoch: string }, feed: Feed) => {
  if (place.epoch !== feed.epoch || place.revision > feed.revision) throw expired()
  const isForgotten =
    place.kind === "changes" ? place.revision <= feed.forgotten : place.revision < feed.forgotten
  if (place.kind !== "walk" && isForgotten) throw expired()
}
