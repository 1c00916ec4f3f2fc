/** The types of a copy: what the service sends, what is stored, and what is shown. */
import type { Schemas, Todo } from "../calls.ts"
import type { BrokenRule } from "../errors.ts"

export type Members = Pick<Todo, "title" | "description" | "is_completed">
export type Member = keyof Members
export const MEMBERS: readonly Member[] = ["title", "description", "is_completed"]

export type Entry = { todo: Todo; etag: string }
/** `state` is undefined until all todos have been fetched for the first time. */
export type Copy = { state?: string | undefined; entries: ReadonlyMap<number, Entry> }

export type Changes = Schemas["ChangesPage"]
/** The result of one operation of a batch. */
export type Result = Schemas["BatchResult"]
export type Refusal = Pick<Schemas["OperationProblem"], "error_code" | "status" | "detail"> & {
  errors?: BrokenRule[] | undefined
}

/**
 * An edit on its way to the service. It is
 *   new    until it is in a request, and again after a merge;
 *   sent   from then on. It does not change, because it is sent again if the answer is lost;
 *   saved  from its answer until the copy contains it.
 * `key` identifies it, here and to the service, which therefore executes a create or an update only
 * once. `id` is negative until the create is saved. `etag` is the version that it is based on or,
 * once it is saved, that it made. `known` is the todo in that version, if the copy may lack it.
 */
type Common = {
  key: string
  id: number
  step: "new" | "sent" | "saved"
  etag?: string | undefined
  known?: Todo | undefined
}
export type Create = Common & { op: "create"; todo: Members }
/** `base`: the values that the user saw in the members that the edit changes. */
export type Update = Common & { op: "update"; todo: Partial<Members>; base: Partial<Members> }
export type Delete = Common & { op: "delete"; base: Members }
export type Operation = Create | Update | Delete

export type Conflict = { member: Member; base: unknown; mine: unknown; theirs: unknown }
/**
 * Something that the user has to be told. It stays until it is dismissed. `refused`: the service
 * refused the edit, which was undone. `conflict`: somebody else changed the same members, or the
 * todo that the edit deletes, and their values stay.
 */
export type Notice = { key: string; id: number; op: Operation["op"]; todo: Partial<Members> } & (
  | { kind: "refused"; error: Refusal | undefined }
  | { kind: "conflict"; members: Conflict[] }
)

export type Queue = {
  operations: readonly Operation[]
  notices: readonly Notice[]
  /** Pairs of the local id, from before a create was saved, and the id that the service gave it. */
  ids: readonly (readonly [number, number])[]
}
export const EMPTY: Queue = { operations: [], notices: [], ids: [] }

/** `is_pending`: shown with an edit that the service has not confirmed, or the copy lacks yet. */
export type LiveTodo = Readonly<Todo & { is_pending: boolean }>

export const membersOf = ({ title, description, is_completed }: Members): Members => ({
  title,
  description,
  is_completed,
})

export const namesOf = (members: Partial<Members>) => MEMBERS.filter((name) => name in members)

/** The members of `values` that `like` also has. */
export const pick = (values: Partial<Members>, like: Partial<Members>): Partial<Members> =>
  Object.fromEntries(
    namesOf(like)
      .filter((name) => name in values)
      .map((name) => [name, values[name]]),
  )
