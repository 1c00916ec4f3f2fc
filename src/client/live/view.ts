/**
 * What is shown: the replica, with the edits applied to it (optimistic updates). A change of a todo
 * computes that todo anew, and moves it to its place in the lists that were asked for.
 */
import type { ListQuery, Sort, Todo } from "../calls.ts"
import type { Edits, Entry, LiveTodo, Operation } from "./model.ts"

/** Which todos. `q`: those whose title or description contains it, ignoring case. */
export type Filter = Pick<ListQuery, "is_completed" | "q">

/** Negative, and the same in every tab: of the key of the create. */
export const localId = (key: string) => -1 - Number.parseInt(key.slice(0, 13), 16)

/** Its times are by the clock of this device, because the service has not seen it yet. */
const created = ({ key, todo, at }: Operation & { op: "create" }): Todo => {
  const now = new Date(at).toISOString()
  return { id: localId(key), ...todo, created_at: now, updated_at: now }
}

/** The times are the order of the edits that the service has not answered yet, and else 0. */
type Shown = { todo: LiveTodo; created_at: number; updated_at: number }

/** Whether two objects of the same type have the same members. */
export const isSame = <T extends object>(a: T, b: T) =>
  (Object.keys(a) as (keyof T)[]).every((name) => a[name] === b[name])

const apply = (key: string, entry: Entry | undefined, edits: Edits): Shown | undefined => {
  let todo = entry?.todo
  let deleted: Todo | undefined
  let [created_at, updated_at] = [0, 0]
  for (const edit of edits) {
    const isOpen = edit.step !== "saved"
    if (edit.op === "delete") {
      deleted = todo
      todo = undefined
    } else if (edit.op === "restore") todo ??= edit.known ?? deleted
    else if (edit.op === "create") {
      if (isOpen) created_at = edit.order
      todo ??= edit.known ?? created(edit)
    } else if (todo) {
      // The replica may have a later version than the one that the edit made.
      const isLater = edit.known && edit.known.updated_at >= todo.updated_at
      todo = { ...todo, ...(isLater && edit.known), ...(isOpen && edit.todo) }
    }
    if (isOpen) updated_at = edit.order
  }
  return todo && { todo: { ...todo, key, is_pending: edits.length > 0 }, created_at, updated_at }
}

const compare = (a: string, b: string) => (a > b ? 1 : a < b ? -1 : 0)

type Time = "created_at" | "updated_at"
/** What waits to be sent is the newest, in the order of the edits. */
const byTime = (time: Time, a: Shown, b: Shown) =>
  a[time] - b[time] || compare(a.todo[time], b.todo[time]) || a.todo.id - b.todo.id

/**
 * A text that `<` compares by code points, as the service does: surrogates come after all else, and
 * not before U+E000.
 */
const byCodePoints = (text: string) =>
  text.replace(/[\ud800-\uffff]/g, (unit) => (unit < "\ue000" ? "\uffff" : "\ud800") + unit)

const comparing = (sort: Sort) => {
  const direction = sort.startsWith("-") ? -1 : 1
  const by = sort.replace("-", "") as Time | "title"
  return (a: Shown, b: Shown) =>
    direction *
    (by === "title"
      ? compare(byCodePoints(a.todo.title), byCodePoints(b.todo.title)) ||
        byTime("created_at", a, b)
      : byTime(by, a, b))
}

const matching = ({ is_completed, q }: Filter) => {
  const sought = q?.toLowerCase()
  return ({ todo }: Shown) =>
    (is_completed ?? todo.is_completed) === todo.is_completed &&
    (sought === undefined ||
      todo.title.toLowerCase().includes(sought) ||
      (todo.description ?? "").toLowerCase().includes(sought))
}

/** How many lists are kept, one for each filter and sort. */
const LISTS = 20

/** `stale`: the keys of todos that may have changed since. */
type List = { shown: readonly Shown[]; todos: readonly LiveTodo[]; stale: Set<string> }

/** `read`: a todo of the replica, and its edits, by its key. */
export const createView = (read: (key: string) => [Entry | undefined, Edits]) => {
  const shown = new Map<string, Shown>()
  const lists = new Map<string, List>()

  /** Keeps the object if nothing in it has changed, so that it is not rendered again. */
  const refresh = (key: string) => {
    const before = shown.get(key)
    const next = apply(key, ...read(key))
    if (before && next && isSame(before.todo, next.todo)) next.todo = before.todo
    if (next) shown.set(key, next)
    else shown.delete(key)
  }

  return {
    get: (key: string) => shown.get(key)?.todo,

    /** The same array until something in it changes. */
    list: (filter: Filter, sort: Sort): readonly LiveTodo[] => {
      const name = JSON.stringify([filter.is_completed, filter.q, sort])
      const last = lists.get(name)
      if (last?.stale.size === 0) return last.todos
      const kept = last?.shown.filter(({ todo }) => !last.stale.has(todo.key)) ?? []
      const changed = [...(last?.stale ?? shown.keys())].flatMap((key) => shown.get(key) ?? [])
      // What is sorted already costs one comparison each.
      const next = [...kept, ...changed.filter(matching(filter))].sort(comparing(sort))
      const todos = next.map(({ todo }) => todo)
      const isSameList =
        last?.todos.length === todos.length &&
        todos.every((todo, index) => todo === last.todos[index])
      lists.delete(name)
      lists.set(name, { shown: next, todos: isSameList ? last.todos : todos, stale: new Set() })
      // Each key typed into a search adds a list. The oldest are dropped, unless they are up to date.
      for (const [oldest, { stale }] of lists)
        if (lists.size > LISTS && stale.size > 0) lists.delete(oldest)
      return isSameList ? last.todos : todos
    },

    changed: (changed: Iterable<string>) => {
      for (const key of changed) {
        refresh(key)
        for (const { stale } of lists.values()) stale.add(key)
      }
    },
  }
}
