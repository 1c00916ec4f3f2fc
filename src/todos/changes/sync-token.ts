/** Sync tokens: signed texts that say how complete a client's replica is. Only the same user can use them. */
import { badRequest, Problem } from "../../http/problem.ts"
import { createMac, type Secrets } from "../../keys.ts"

/** The owner's revision, the last one whose deletions are forgotten, and the epoch, which a restore renews. */
export type Head = { epoch: string; revision: number; forgottenUpTo: number }

/**
 * - `complete`: the replica has everything up to `revision`.
 * - `changes`: it has all changes up to `revision`, and of that one those up to `id`. More follow at once.
 * - `initial`: it has the todos up to `id`, but may lack changes after `revision`. `until` is the highest
 *   id at the beginning.
 */
export type Checkpoint =
  | { kind: "complete"; revision: number }
  | { kind: "changes"; revision: number; id: number }
  | { kind: "initial"; revision: number; id: number; until: number }

/** The version of the format. Tokens of another one are refused as forged. */
const FORM = 1

const kinds = ["complete", "changes", "initial"] as const

const wrongToken = () =>
  badRequest([{ parameter: "since", message: "is not from an answer to this user" }])

const expired = () =>
  new Problem("CHANGES_EXPIRED", "Changes since then are not remembered: begin without since")

const signed = (payload: string, ownerId: number) => JSON.stringify([FORM, ownerId, payload])

export const createSyncTokens = (secrets: Secrets) => {
  // Tokens of earlier versions are signed for this purpose.
  const mac = createMac(secrets, "states")
  return {
    write(checkpoint: Checkpoint, epoch: string, ownerId: number): string {
      const values = [epoch, kinds.indexOf(checkpoint.kind), checkpoint.revision]
      if (checkpoint.kind !== "complete") values.push(checkpoint.id)
      if (checkpoint.kind === "initial") values.push(checkpoint.until)
      const payload = Buffer.from(JSON.stringify(values)).toString("base64url")
      return `${payload}.${mac.sign(signed(payload, ownerId))}`
    },

    /** Throws a 400 unless `write` made it for the same user. */
    read(token: string, ownerId: number): Checkpoint & { epoch: string } {
      const [payload = "", signature = ""] = token.split(/\.(.*)/s)
      if (!mac.verify(signed(payload, ownerId), signature)) throw wrongToken()
      const [epoch, kind, revision, id, until] = JSON.parse(
        Buffer.from(payload, "base64url").toString(),
      )
      return { epoch, kind: kinds[kind] ?? "complete", revision, id, until }
    },
  }
}
export type SyncTokens = ReturnType<typeof createSyncTokens>

/**
 * Throws a 410 if some changes since the checkpoint are not remembered. One that is ahead of the database
 * belongs to a database that was replaced by an older state. An initial sync reads no deletions: it fails
 * later, when it goes on to the changes.
 */
export const checkRemembered = (checkpoint: Checkpoint & { epoch: string }, head: Head) => {
  const { kind, epoch, revision } = checkpoint
  if (epoch !== head.epoch || revision > head.revision) throw expired()
  const isForgotten =
    kind === "changes" ? revision <= head.forgottenUpTo : revision < head.forgottenUpTo
  if (kind !== "initial" && isForgotten) throw expired()
}
