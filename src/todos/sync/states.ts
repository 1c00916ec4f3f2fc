/** States: how far a client's copy has come, as a text that it can keep, but neither make up nor lend. */
import { badRequest, Problem } from "../../errors.ts"
import { createMac, type Secrets } from "../../keys/mac.ts"

/** What the database is at: the revision of the owner, and which of its restored lives this is. */
export type Feed = { epoch: string; revision: number; forgotten: number }

/**
 * - `complete`: the copy has everything up to a revision.
 * - `changes`: of those after a revision, all up to an id, and the rest is to be fetched at once.
 *   `until`: the owner's revision when these changes were begun.
 * - `walk`: the first pages, which go by id. The copy has todos up to `id`, and lacks whatever
 *   changed after the revision. `until`: the highest id when the walk began.
 */
export type Place =
  | { kind: "complete"; revision: number }
  | { kind: "changes"; revision: number; id: number; until: number }
  | { kind: "walk"; revision: number; id: number; until: number }

/** States of another form are refused like those that were tampered with. */
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
 * Throws a 410 where the feed cannot tell all that happened since. A state that is ahead of the
 * database is of one that was lost, and replaced by an older copy of it. Walks take no deletions
 * from the feed: they are told when they go on to the changes.
 */
export const checkPlace = (place: Place & { epoch: string }, feed: Feed) => {
  if (place.epoch !== feed.epoch || place.revision > feed.revision) throw expired()
  const isForgotten =
    place.kind === "changes" ? place.revision <= feed.forgotten : place.revision < feed.forgotten
  if (place.kind !== "walk" && isForgotten) throw expired()
}
