/** The queue of edits, as pure functions: a change returns a new queue. */
import {
  type Copy,
  type Create,
  type Delete,
  namesOf,
  type Operation,
  pick,
  type Queue,
  type Update,
} from "./model.ts"

/** How many edits are kept at most while the service cannot be reached. */
export const LONGEST_QUEUE = 5000
/** How many operations a request has at most. */
const BATCH = 100

export const idOf = ({ ids }: Queue, id: number) => ids.find(([local]) => local === id)?.[1] ?? id

const squashUpdates = (first: Update, second: Update): Update => ({
  ...first,
  // The base of a member that was changed twice is its value before the first change.
  base: { ...second.base, ...first.base },
  todo: { ...first.todo, ...second.todo },
})

/** Another tab may not have shown the first edit yet. The merge then reports the conflict. */
const hasSeen = (second: Update | Delete, first: Create | Update) =>
  namesOf(pick(second.base, first.todo)).every((name) => second.base[name] === first.todo[name])

/** Combines an edit that is not sent yet with the next one. Undefined if both have to be sent. */
const squash = (first: Operation, second: Operation): Operation[] | undefined => {
  if (first.step !== "new" || first.op === "delete" || second.op === "create") return undefined
  if (!hasSeen(second, first) || (first.op === "update" && first.etag !== second.etag))
    return undefined
  if (second.op === "delete")
    return first.op === "create" ? [] : [{ ...second, base: { ...second.base, ...first.base } }]
  if (first.op === "update") return [squashUpdates(first, second)]
  return [{ ...first, todo: { ...first.todo, ...second.todo } }]
}

export const enqueue = (queue: Queue, edit: Operation): Queue => {
  const { operations } = queue
  const added = { ...edit, id: idOf(queue, edit.id) }
  const last = operations.findLast(({ id }) => id === added.id)
  const squashed = last && squash(last, added)
  return {
    ...queue,
    operations: squashed
      ? operations.flatMap((operation) => (operation === last ? squashed : [operation]))
      : [...operations, added],
  }
}

/** The version of a todo that is shown, beneath the edits that are not answered yet. */
export const shownVersion = ({ operations }: Queue, { entries }: Copy, id: number) =>
  operations.findLast((operation) => operation.id === id && operation.etag !== undefined)?.etag ??
  entries.get(id)?.etag

/** In order. A todo's next edit has to wait for the answer to the one before, for its version. */
export const nextBatch = ({ operations }: Queue, size = BATCH): Operation[] => {
  const batch = new Map<number, Operation>()
  for (const operation of operations)
    if (operation.step !== "saved" && !batch.has(operation.id) && batch.size < size)
      batch.set(operation.id, operation)
  return [...batch.values()]
}

export const markSent = (queue: Queue, batch: readonly Operation[]): Queue => {
  const keys = new Set(batch.map(({ key }) => key))
  return {
    ...queue,
    operations: queue.operations.map((operation) =>
      keys.has(operation.key) ? { ...operation, step: "sent" } : operation,
    ),
  }
}

/** Removes the edits that were saved before a fetch, once the copy has the result of that fetch. */
export const forget = (queue: Queue, keys: ReadonlySet<string>): Queue => ({
  ...queue,
  operations: queue.operations.filter(({ key }) => !keys.has(key)),
})

export const savedKeys = ({ operations }: Queue): ReadonlySet<string> =>
  new Set(operations.filter(({ step }) => step === "saved").map(({ key }) => key))

/** Where `later` is based on a value of the undone update, its base becomes the value before. */
const rebase = <Later extends Update | Delete>(undone: Update, later: Later): Later => {
  const lost = namesOf(undone.todo).filter((name) => later.base[name] === undone.todo[name])
  const before = Object.fromEntries(lost.map((name) => [name, undone.base[name]]))
  return { ...later, base: { ...later.base, ...before } }
}

/** Values that `later` sets again are not undone, and the edits after it may be based on them. */
const without = (undone: Update, later: Update): Update => {
  const lost = namesOf(undone.todo).filter((name) => later.todo[name] !== undone.todo[name])
  return { ...undone, todo: Object.fromEntries(lost.map((name) => [name, undone.todo[name]])) }
}

/** Rebases the edits of a todo that follow an update which is undone. */
export const rebaseAll = (update: Update, edits: readonly Operation[]): Operation[] => {
  let undone = update
  return edits.map((edit) => {
    if (edit.op === "create") return edit
    const rebased = rebase(undone, edit)
    if (edit.op === "update") undone = without(undone, edit)
    return rebased
  })
}
