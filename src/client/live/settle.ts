/** Updates the queue with the results of a batch. */

import type { Todo } from "../calls.ts"
import { randomKey } from "../platform.ts"
import { changedSince, mergeUpdate } from "./merge.ts"
import {
  membersOf,
  type Notice,
  type Operation,
  type Queue,
  type Refusal,
  type Result,
} from "./model.ts"
import { rebaseAll } from "./queue.ts"

const NOTICES = 1000
const IDS = 1000

const tell = (queue: Queue, notices: Notice[]): Queue => ({
  ...queue,
  notices: [...queue.notices, ...notices].slice(-NOTICES),
})

type About = Pick<Notice, "key" | "id" | "op" | "todo">
const about = ({ id, op, ...operation }: Operation): About => ({
  key: randomKey(),
  id,
  op,
  todo: "todo" in operation ? operation.todo : {},
})

const mapOf = (queue: Queue, id: number, change: (operation: Operation) => Operation[]): Queue => ({
  ...queue,
  operations: queue.operations.flatMap((operation) =>
    operation.id === id ? change(operation) : [operation],
  ),
})

/** Merges all edits of the todo that are not saved, one after the other, onto the current todo. */
const merge = (queue: Queue, id: number, current: Todo, etag: string): Queue => {
  const notices: Notice[] = []
  let theirs = membersOf(current)
  let version: string | undefined = etag
  let known: Todo | undefined = current
  const next = mapOf(queue, id, (operation) => {
    if (operation.step === "saved" || operation.op === "create") return [operation]
    if (operation.op === "delete") {
      const members = changedSince(operation, theirs)
      if (members.length === 0) return [{ ...operation, etag: version, known, step: "new" }]
      notices.push({ ...about(operation), kind: "conflict", members })
      return []
    }
    const { left, base, conflicts } = mergeUpdate(operation, theirs)
    if (conflicts.length > 0)
      notices.push({ ...about(operation), kind: "conflict", members: conflicts })
    const merged: Operation = { ...operation, todo: left, base, etag: version, known, step: "new" }
    // There is nothing left to send, but the current todo is shown until the copy has it.
    if (Object.keys(left).length === 0) return known ? [{ ...merged, step: "saved" }] : []
    theirs = { ...theirs, ...left }
    version = undefined
    known = undefined
    return [merged]
  })
  return tell(next, notices)
}

const save = (queue: Queue, sent: Operation, { etag, todo }: Result): Queue => {
  const id = todo?.id ?? sent.id
  const version = etag ?? undefined
  const next = mapOf(queue, sent.id, (operation) => {
    if (operation.key !== sent.key) return [{ ...operation, id }]
    return [{ ...operation, id, etag: version, step: "saved", known: todo ?? undefined }]
  })
  const known = id === sent.id ? next.ids : [...next.ids, [sent.id, id] as const].slice(-IDS)
  const named = { ...next, ids: known }
  return todo && version !== undefined ? merge(named, id, todo, version) : named
}

/** Removes a refused edit. With a create, all edits of its todo are refused. */
export const refuse = (queue: Queue, sent: Operation, error: Refusal | undefined): Queue => {
  const own = queue.operations.filter(({ id }) => id === sent.id)
  const isRefused = ({ key }: Operation) => key === sent.key || sent.op === "create"
  const notices = own.filter(isRefused).map((operation): Notice => {
    return { ...about(operation), kind: "refused", error }
  })
  const left = own
    .filter((operation) => !isRefused(operation))
    .map((operation) => ({ ...operation, etag: operation.etag ?? sent.etag }))
  const rebased = sent.op === "update" ? rebaseAll(sent, left) : left
  const next = mapOf(queue, sent.id, ({ key }) => rebased.filter((one) => one.key === key))
  return tell(next, notices)
}

export const mayPass = (status: number) => status === 429 || status >= 500

/** Without locks, two tabs may send the same edit. The second answer is then ignored. */
export const settle = (queue: Queue, sent: Operation, result: Result): Queue => {
  const { status, todo, etag, error } = result
  const current = queue.operations.find(({ key }) => key === sent.key)
  if (current?.step !== "sent" || current.etag !== sent.etag || mayPass(status)) return queue
  if (status < 300 || (status === 404 && sent.op === "delete")) return save(queue, sent, result)
  return status === 412 && todo && etag
    ? merge(queue, sent.id, todo, etag)
    : refuse(queue, sent, error)
}
