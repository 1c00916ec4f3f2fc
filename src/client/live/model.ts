/** The types of a replica: what the service sends, what is stored, and what is shown. */
import type { BrokenRule, NewTodo, Schemas, Todo } from "../calls.ts"

export type Members = Pick<Todo, keyof NewTodo>
export type Member = keyof Members
export const MEMBERS: readonly Member[] = ["title", "description", "is_completed"]

/**
 * `key`: of a todo that was created on this device. Any other has its id as its key. Where that todo
 * was deleted its key is kept without it: it may be restored.
 */
export type Entry = {
  todo?: Todo | undefined
  etag?: string | undefined
  key?: string | undefined
  round: number
}
/**
 * `token`: the sync token. `isComplete`: there was a complete replica at some time. `round` counts how
 * often all todos were fetched anew, because a token was refused. What is shown stays until a round is
 * complete: then the todos of earlier rounds are removed.
 */
export type SyncState = { token: string | undefined; isComplete: boolean; round: number }

/** A todo that has changed or, without the todo, was deleted. */
export type Change = Schemas["ChangesPage"]["changes"][number]

/** Why the service refused an edit. */
export type Refusal = Pick<Schemas["OperationProblem"], "error_code" | "status" | "detail"> & {
  /** The broken rules. Of BAD_REQUEST only. */
  errors?: BrokenRule[] | undefined
}

/**
 * An edit on its way to the service. It is
 *   new    until it is in a request, and again after a merge;
 *   sent   from then on. It does not change, because it is sent again if the answer is lost;
 *   saved  from its answer until the replica contains it.
 * `key` identifies it, here and to the service, which therefore executes a create or an update only
 * once. `id` is negative until the create is saved. `order` counts the edits of this device. `etag` is
 * the version that it is based on or, once it is saved, that it made. `known` is the todo in that
 * version, if the replica may lack it. `seen` is what the user saw before the edit.
 */
type Common = {
  key: string
  id: number
  step: "new" | "sent" | "saved"
  order: number
  etag?: string | undefined
  known?: Todo | undefined
}
export type Create = Common & { op: "create"; todo: Members; at: number }
/** `base`: the values that the user saw in the members that the edit changes. */
export type Update = Common & {
  op: "update"
  todo: Partial<Members>
  base: Partial<Members>
  seen: Members
}
export type Delete = Common & { op: "delete"; base: Members; at: number }
/** Of a todo in the trash, of which `known` is shown until the service has restored it. */
export type Restore = Common & { op: "restore" }
export type Operation = Create | Update | Delete | Restore
/** The edits of one todo, in order. They have to be sent one after the other. */
export type Edits = readonly Operation[]

/** A member that somebody else has changed, too. */
export interface Conflict {
  member: Member
  /** What the user saw before the edit. */
  base: Members[Member] | undefined
  /** What the edit sets. Undefined if it deletes the todo. */
  mine: Members[Member] | undefined
  /** What somebody else has set, and what stays. */
  theirs: Members[Member] | undefined
}
type Told = {
  /** Of the notice: for `live.dismiss`. */
  key: string
  /** Of the todo. */
  todo_key: string
  /** Of the todo. Negative if it was never saved. */
  id: number
  /** What the edit does. */
  op: Operation["op"]
  /** The members that the edit sets. */
  todo: Partial<Members>
  /** The todo as it was last known. */
  last: Members
  /** A sentence for people. */
  message: string
}
/** The service refused the edit, which was undone. */
export interface RefusedNotice extends Told {
  kind: "refused"
  /** Why, where the service has said so. */
  error: Refusal | undefined
}
/** Somebody else changed the same members, or the todo that the edit deletes: their values stay. */
export interface ConflictNotice extends Told {
  kind: "conflict"
  members: Conflict[]
}
/** Something that the user has to be told. It stays until it is dismissed. */
export type Notice = RefusedNotice | ConflictNotice

/** A todo that can be restored. */
export interface DeletedTodo extends Readonly<Todo> {
  /** For `live.restore`. */
  readonly key: string
  /** Negative if it was never saved. */
  readonly id: number
  /** When it was deleted: ISO 8601. */
  readonly deleted_at: string
}

/** What is left of the edits of a todo, and what the user has to be told. */
export type Outcome = [edits: Edits, notices?: Notice[]]

/** A todo as it is shown: that of the service, with the edits applied to it. */
export interface LiveTodo extends Readonly<Todo> {
  /** The same on this device for the life of the todo, before and after it is saved. */
  readonly key: string
  /** Negative until the service has saved it. */
  readonly id: number
  /** Whether it has an edit that the service has not confirmed, or the replica lacks yet. */
  readonly is_pending: boolean
}

/** With what the service gives to those that a new todo lacks. */
export const membersOf = ({
  title,
  description = null,
  is_completed = false,
}: NewTodo): Members => ({ title, description, is_completed })

/** What is there, but undefined, is left out: as JSON leaves it out. */
export const namesOf = (members: Partial<Members>) =>
  MEMBERS.filter((name) => members[name] !== undefined)

export const pick = (values: Partial<Members>, names: readonly Member[]): Partial<Members> =>
  Object.fromEntries(names.map((name) => [name, values[name]]))
