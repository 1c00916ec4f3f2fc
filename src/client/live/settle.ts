/** What becomes of the edits of a todo by the answer of the service. */
import type { Todo } from "../calls.ts"
import { randomKey } from "../platform.ts"
import type { Result } from "../shapes.ts"
import { rebaseAll } from "./edits.ts"
import { changedSince, mergeUpdate } from "./merge.ts"
import {
  type Conflict,
  type Edits,
  type Members,
  membersOf,
  type Notice,
  type Operation,
  type Outcome,
  type Refusal,
} from "./model.ts"

const DONE = { create: "created", update: "changed", delete: "deleted", restore: "restored" }
const UNKNOWN = membersOf({ title: "?" })

const lastOf = (edit: Operation): Members => {
  if (edit.op === "create") return edit.todo
  const seen = edit.op === "update" ? edit.seen : edit.op === "delete" ? edit.base : UNKNOWN
  return membersOf(edit.known ?? seen)
}

const about = (todoKey: string, edit: Operation) => ({
  key: randomKey(),
  todo_key: todoKey,
  id: edit.id,
  op: edit.op,
  todo: "todo" in edit ? edit.todo : {},
  last: lastOf(edit),
})

const refusedNotice = (todoKey: string, edit: Operation, error: Refusal | undefined): Notice => {
  const { title } = lastOf(edit)
  const reason = error?.errors?.map(({ message }) => message).join(", ") || error?.detail
  const message =
    error?.error_code === "TODO_NOT_FOUND" && edit.op !== "restore"
      ? `“${title}” was deleted elsewhere`
      : `“${title}” could not be ${DONE[edit.op]}: ${reason ?? "the service refused it"}`
  return { ...about(todoKey, edit), kind: "refused", error, message }
}

const conflictNotice = (todoKey: string, edit: Operation, members: Conflict[]): Notice => {
  const { title } = lastOf(edit)
  const message =
    edit.op === "delete"
      ? `“${title}” was not deleted, because it was changed elsewhere`
      : `“${title}” was changed elsewhere, too: that change stays`
  return { ...about(todoKey, edit), kind: "conflict", members, message }
}

/** Merges all edits that are not saved, one after the other, onto the current todo. */
const merge = (todoKey: string, edits: Edits, current: Todo, etag: string): Outcome => {
  const notices: Notice[] = []
  let theirs = membersOf(current)
  let version: string | undefined = etag
  let known: Todo | undefined = current
  const next = edits.flatMap((edit): Operation[] => {
    if (edit.step === "saved" || edit.op === "create" || edit.op === "restore") return [edit]
    if (edit.op === "delete") {
      const members = changedSince(edit, theirs)
      if (members.length === 0) return [{ ...edit, etag: version, known, step: "new" }]
      notices.push(conflictNotice(todoKey, edit, members))
      return []
    }
    const { left, base, conflicts } = mergeUpdate(edit, theirs)
    if (conflicts.length > 0) notices.push(conflictNotice(todoKey, edit, conflicts))
    const merged: Operation = { ...edit, todo: left, base, etag: version, known, step: "new" }
    // There is nothing left to send, but the current todo is shown until the replica has it.
    if (Object.keys(left).length === 0) return known ? [{ ...merged, step: "saved" }] : []
    theirs = { ...theirs, ...left }
    version = undefined
    known = undefined
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
