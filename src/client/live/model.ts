/** The shapes of a copy: what the service sends, what is kept, and what is shown. */
import type { Schemas, Todo } from "../calls.ts"
import type { BrokenRule } from "../errors.ts"

export type Members = Pick<Todo, "title" | "description" | "is_completed">
export type Member = keyof Members
export const MEMBERS: readonly Member[] = ["title", "description", "is_completed"]

export type Entry = { todo: Todo; etag: string }
/** `state` is undefined before the first walk is done. */
export type Copy = { state?: string | undefined; entries: ReadonlyMap<number, Entry> }

export type Changes = Schemas["Changes"]
/** Of one operation of a batch. */
export type Result = Schemas["BatchResult"]
export type Refusal = Pick<Schemas["OperationProblem"], "error_code" | "status" | "detail"> & {
  errors?: BrokenRule[] | undefined
}

/**
 * An edit on its way. It is `new` until it is in a request; from then on `sent`, and what it says
 * stays as it is, because the answer may be lost; `saved` from its answer until the copy has it.
 * `key` names it here and to the service, which does it once. `id` is below zero until a create is saved.
 * `etag` is the version that it was based on or, once it is saved, made; `known` is the todo in that
 * version, where the copy may not have it yet.
 */
type Common = {
  key: string
  id: number
  step: "new" | "sent" | "saved"
  etag?: string | undefined
  known?: Todo | undefined
}
export type Create = Common & { op: "create"; todo: Members }
/** `base`: what the user saw of the members that they changed. */
export type Update = Common & { op: "update"; todo: Partial<Members>; base: Partial<Members> }
export type Delete = Common & { op: "delete"; base: Members }
export type Operation = Create | Update | Delete

export type Conflict = { member: Member; base: unknown; mine: unknown; theirs: unknown }
/**
 * What the user has to be told: it stays until it is dismissed. `refused`: the edit was undone.
 * `conflict`: somebody else changed the same members (or what was to be deleted), and theirs stay.
 */
export type Notice = { key: string; id: number; op: Operation["op"]; todo: Partial<Members> } & (
  | { kind: "refused"; error: Refusal | undefined }
  | { kind: "conflict"; members: Conflict[] }
)

export type Queue = {
  operations: readonly Operation[]
  notices: readonly Notice[]
  /** Ids from before a create was saved, and those of the service. */
  ids: readonly (readonly [number, number])[]
}
export const EMPTY: Queue = { operations: [], notices: [], ids: [] }

/** `is_pending`: shown with an edit that the service has not confirmed. */
export type LiveTodo = Readonly<Todo & { is_pending: boolean }>

export const membersOf = ({ title, description, is_completed }: Members): Members => ({
  title,
  description,
  is_completed,
})

export const namesOf = (members: Partial<Members>) => MEMBERS.filter((name) => name in members)

/** The members of `values` that `like` has. */
export const pick = (values: Partial<Members>, like: Partial<Members>): Partial<Members> =>
  Object.fromEntries(
    namesOf(like)
      .filter((name) => name in values)
      .map((name) => [name, values[name]]),
  )
