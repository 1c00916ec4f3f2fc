/** The edits of one todo, as pure functions: a change returns new ones. */
import {
  type Create,
  type Edits,
  type Member,
  namesOf,
  type Operation,
  pick,
  type Update,
} from "./model.ts"

/** Another tab may not have shown the first edit yet. The merge then reports the conflict. */
const hasSeen = (second: Update, first: Create | Update) =>
  namesOf(first.todo).every(
    (name) => !(name in second.base) || second.base[name] === first.todo[name],
  )

/** Combines an edit that is not sent yet with the next one. Undefined if both have to be sent. */
const squash = (first: Operation, second: Operation): Operation | undefined => {
  if (first.step !== "new" || second.op !== "update" || !("todo" in first)) return undefined
  if (!hasSeen(second, first)) return undefined
  if (first.op === "create") return { ...first, todo: { ...first.todo, ...second.todo } }
  const todo = { ...first.todo, ...second.todo }
  // The base of a member that was changed twice is its value before the first change.
  const base = { ...second.base, ...first.base }
  return first.etag === second.etag ? { ...first, todo, base } : undefined
}

/** An edit that is there already stays as it is: a write may be repeated. */
export const append = (edits: Edits, edit: Operation): Edits => {
  if (edits.some(({ key }) => key === edit.key)) return edits
  const last = edits.at(-1)
  if (!last) return [edit]
  // A deletion that nobody has sent is undone by sending nothing.
  if (edit.op === "restore" && (last.step === "new" || last.op === "restore"))
    return last.op === "delete" ? edits.slice(0, -1) : edits
  const added = { ...edit, id: last.id }
  const squashed = squash(last, added)
  return squashed ? [...edits.slice(0, -1), squashed] : [...edits, added]
}

/** What follows an update that is undone, and is based on its values, is based on those before it. */
export const rebaseAll = (undone: Update, edits: Edits): Edits => {
  let names = namesOf(undone.todo)
  return edits.map((edit) => {
    if (edit.step === "saved" || !("base" in edit)) return edit
    const isLost = (name: Member) => edit.base[name] === undone.todo[name]
    const before = pick(undone.base, names.filter(isLost))
    // A value that is set again is not undone, and what follows may be based on it.
    if (edit.op === "update") names = names.filter((name) => edit.todo[name] !== undone.todo[name])
    return { ...edit, base: { ...edit.base, ...before } } as Operation
  })
}
