/** What is shown: the copy, with the edits of the queue applied to it (optimistic updates). */
import type { ListQuery, Sort, Todo } from "../calls.ts"
import type { Copy, LiveTodo, Operation, Queue } from "./model.ts"

export type Filter = Pick<ListQuery, "is_completed" | "q">

/** Its times are by the clock of this device, because the service has not seen it yet. */
const created = ({ id, todo }: Operation & { op: "create" }, now: string): Todo => ({
  id,
  ...todo,
  created_at: now,
  updated_at: now,
})

/** Returns the same object for the same todo, so that a renderer can see that nothing changed. */
const confirmed = new WeakMap<Todo, LiveTodo>()
const shownAs = (todo: Todo): LiveTodo => {
  const shown = confirmed.get(todo) ?? { ...todo, is_pending: false }
  confirmed.set(todo, shown)
  return shown
}

export const overlay = ({ entries }: Copy, { operations }: Queue, now: string) => {
  const shown = new Map<number, LiveTodo>()
  for (const [id, { todo }] of entries) shown.set(id, shownAs(todo))
  for (const operation of operations) {
    const there = shown.get(operation.id)
    if (operation.op === "delete") shown.delete(operation.id)
    else if (operation.op === "create") {
      const todo = operation.known ?? created(operation, now)
      if (!there) shown.set(operation.id, { ...todo, is_pending: true })
    } else if (there) {
      const edited = operation.step === "saved" ? {} : operation.todo
      shown.set(operation.id, { ...(operation.known ?? there), ...edited, is_pending: true })
    }
  }
  return shown
}

/** Compares by code point, as the service does. `<` would compare by UTF-16 code unit. */
const compareTexts = (a: string, b: string) => {
  const [others, mine] = [b[Symbol.iterator](), a[Symbol.iterator]()]
  for (;;) {
    const [x, y] = [mine.next(), others.next()]
    if (x.done || y.done) return Number(!x.done) - Number(!y.done)
    const difference = (x.value.codePointAt(0) ?? 0) - (y.value.codePointAt(0) ?? 0)
    if (difference !== 0) return difference
  }
}

/** Greater than every timestamp: the service sets the time when it receives the edit. */
const LATER = "~"

const KEYS: Record<string, (todo: LiveTodo) => string> = {
  created_at: ({ id, created_at }) => (id < 0 ? LATER : created_at),
  updated_at: ({ is_pending, updated_at }) => (is_pending ? LATER : updated_at),
  title: ({ title }) => title,
}

/** Todos that are not saved yet count as the newest, in the order of the clicks. */
const rank = (id: number, index: number) => (id < 0 ? Number.MAX_SAFE_INTEGER + index : id)

export const listed = (todos: Iterable<LiveTodo>, filter: Filter, sort: Sort): LiveTodo[] => {
  const sought = filter.q?.toLowerCase()
  const matches = ({ title, description, is_completed }: LiveTodo) =>
    (filter.is_completed ?? is_completed) === is_completed &&
    (sought === undefined ||
      title.toLowerCase().includes(sought) ||
      (description ?? "").toLowerCase().includes(sought))
  const direction = sort.startsWith("-") ? -1 : 1
  const keyOf = KEYS[sort.replace("-", "")] ?? (() => "")
  const compare = sort.endsWith("title")
    ? compareTexts
    : (a: string, b: string) => Number(a > b) - Number(a < b)
  return [...todos]
    .filter(matches)
    .map((todo, index) => ({ todo, key: keyOf(todo), rank: rank(todo.id, index) }))
    .sort((a, b) => direction * (compare(a.key, b.key) || a.rank - b.rank))
    .map(({ todo }) => todo)
}
