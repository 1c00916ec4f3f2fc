/** The queue of edits, without any input or output: each function returns the queue that follows. */
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

/** So much at most is kept while the service cannot be reached. */
export const LONGEST_QUEUE = 5000
/** Operations of a request. */
const BATCH = 100

export const idOf = ({ ids }: Queue, id: number) => ids.find(([local]) => local === id)?.[1] ?? id

const squashUpdates = (first: Update, second: Update): Update => ({
  ...first,
  // Of a member that was changed twice, the base is what was there before the first.
  base: { ...second.base, ...first.base },
  todo: { ...first.todo, ...second.todo },
})

/** Another tab may not have shown the edit yet: then it is a conflict, and the merge tells it. */
const hasSeen = (second: Update | Delete, first: Create | Update) =>
  namesOf(pick(second.base, first.todo)).every((name) => second.base[name] === first.todo[name])

/** What an edit that is not sent yet becomes with the one after it; undefined: both are sent. */
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

/** The version that the view shows of a todo, but for the edits that no answer was seen to. */
export const shownVersion = ({ operations }: Queue, { entries }: Copy, id: number) =>
  operations.findLast((operation) => operation.id === id && operation.etag !== undefined)?.etag ??
  entries.get(id)?.etag

/** In order. An edit of a todo waits for the answer to the one before: only that has its version. */
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

/** Of those that were saved before a fetch, once the copy has what that fetch told. */
export const forget = (queue: Queue, keys: ReadonlySet<string>): Queue => ({
  ...queue,
  operations: queue.operations.filter(({ key }) => !keys.has(key)),
})

export const savedKeys = ({ operations }: Queue): ReadonlySet<string> =>
  new Set(operations.filter(({ step }) => step === "saved").map(({ key }) => key))

/** Where `later` is based on what an update made that is undone, it is based on what was there before. */
const rebase = <Later extends Update | Delete>(undone: Update, later: Later): Later => {
  const lost = namesOf(undone.todo).filter((name) => later.base[name] === undone.todo[name])
  const before = Object.fromEntries(lost.map((name) => [name, undone.base[name]]))
  return { ...later, base: { ...later.base, ...before } }
}

/** Once `later` has made the same, that is there, and what comes after it may be based on it. */
const without = (undone: Update, later: Update): Update => {
  const lost = namesOf(undone.todo).filter((name) => later.todo[name] !== undone.todo[name])
  return { ...undone, todo: Object.fromEntries(lost.map((name) => [name, undone.todo[name]])) }
}

/** Edits of a todo, after an update of it that is undone. */
export const rebaseAll = (update: Update, edits: readonly Operation[]): Operation[] => {
  let undone = update
  return edits.map((edit) => {
    if (edit.op === "create") return edit
    const rebased = rebase(undone, edit)
    if (edit.op === "update") undone = without(undone, edit)
    return rebased
  })
}
