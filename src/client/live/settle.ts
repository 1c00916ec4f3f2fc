/** What becomes of the edits of a todo by the answer of the service. */
import type { Todo } from "../calls.ts"
import { randomKey } from "../platform.ts"
import type { Result } from "../shapes.ts"
import { rebaseAll } from "./edits.ts"
import { mergeEdit } from "./merge.ts"
import {
  type ConflictNotice,
  type Edits,
  type Members,
  membersOf,
  type Notice,
  type Operation,
  type Outcome,
  pick,
  type Refusal,
  type RefusedNotice,
} from "./model.ts"

const lastOf = (edit: Operation): Members => {
  if (edit.op === "create") return edit.todo
  const seen = edit.op === "update" ? edit.seen : edit.op === "delete" ? edit.base : { title: "?" }
  return membersOf(edit.known ?? seen)
}

type Told =
  | Pick<RefusedNotice, "kind" | "error" | "message">
  | Pick<ConflictNotice, "kind" | "members" | "message">

/** The message goes on behind the title. */
const noticeOf = (todoKey: string, edit: Operation, told: Told): Notice => {
  const last = lastOf(edit)
  return {
    key: randomKey(),
    todo_key: todoKey,
    id: edit.id,
    op: edit.op,
    todo: "todo" in edit ? edit.todo : {},
    last,
    ...told,
    message: `“${last.title}” ${told.message}`,
  }
}

const refusedNotice = (todoKey: string, edit: Operation, error: Refusal | undefined) => {
  const reason = error?.errors?.map(({ message }) => message).join(", ") || error?.detail
  const message =
    error?.error_code === "TODO_NOT_FOUND" && edit.op !== "restore"
      ? "was deleted elsewhere"
      : `could not be ${edit.op}d: ${reason}`
  return noticeOf(todoKey, edit, { kind: "refused", error, message })
}

/** Merges all edits that are not saved, one after the other, onto the current todo. */
const merge = (todoKey: string, edits: Edits, current: Todo, etag: string): Outcome => {
  const notices: Notice[] = []
  let theirs = membersOf(current)
  /** Of the first that is left. */
  let version: Pick<Operation, "etag" | "known"> = { etag, known: current }
  const next = edits.flatMap((edit): Operation[] => {
    if (edit.step === "saved" || !("base" in edit)) return [edit]
    const { left, conflicts: members } = mergeEdit(edit, theirs)
    const isDeletion = edit.op === "delete"
    if (members.length > 0) {
      const message = isDeletion
        ? "was not deleted, because it was changed elsewhere"
        : "was changed elsewhere, too: that change stays"
      notices.push(noticeOf(todoKey, edit, { kind: "conflict", members, message }))
    }
    if (isDeletion) return members.length > 0 ? [] : [{ ...edit, ...version, step: "new" }]
    const [todo, base] = [pick(edit.todo, left), pick(theirs, left)]
    const merged: Operation = { ...edit, todo, base, ...version, step: "new" }
    // There is nothing left to send, but the current todo is shown until the replica has it.
    if (left.length === 0) return version.known ? [{ ...merged, step: "saved" }] : []
    theirs = { ...theirs, ...todo }
    version = { etag: undefined, known: undefined }
    return [merged]
  })
  return [next, notices]
}

const save = (todoKey: string, edits: Edits, sent: Operation, result: Result): Outcome => {
  const { etag, todo } = result
  const id = todo?.id ?? sent.id
  const saved = edits.map(
    (edit): Operation =>
      edit.key === sent.key ? { ...edit, id, etag, step: "saved", known: todo } : { ...edit, id },
  )
  return todo && etag !== undefined ? merge(todoKey, saved, todo, etag) : [saved]
}

/** Removes a refused edit. With a create, all edits of its todo are refused. */
export const refuse = (
  todoKey: string,
  edits: Edits,
  sent: Operation,
  error: Refusal | undefined,
): Outcome => {
  const isRefused = ({ key }: Operation) => key === sent.key || sent.op === "create"
  const left = edits
    .filter((edit) => !isRefused(edit))
    .map((edit) => ({ ...edit, etag: edit.etag ?? sent.etag }))
  return [
    sent.op === "update" ? rebaseAll(sent, left) : left,
    edits.filter(isRefused).map((edit) => refusedNotice(todoKey, edit, error)),
  ]
}

export const mayPass = (status: number) => status === 429 || status >= 500

/** Without locks, two tabs may send the same edit. The second answer is then ignored. */
export const settle = (todoKey: string, edits: Edits, sent: Operation, result: Result): Outcome => {
  const { status, todo, etag, error } = result
  const current = edits.find(({ key }) => key === sent.key)
  const isOther = current?.step !== "sent" || current.etag !== sent.etag
  if (isOther || mayPass(status)) return [edits]
  if (status < 300 || (status === 404 && sent.op === "delete"))
    return save(todoKey, edits, sent, result)
  return status === 412 && todo && etag
    ? merge(todoKey, edits, todo, etag)
    : refuse(todoKey, edits, sent, error)
}
