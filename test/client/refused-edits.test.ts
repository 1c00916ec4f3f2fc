/** What becomes of the edits behind one that the service refuses. */
import { expect, test } from "bun:test"
import type { Members, Operation } from "../../src/client/live/model.ts"
import { refuse } from "../../src/client/live/settle.ts"

const edit = (key: string, base: Partial<Members>, todo: Partial<Members>): Operation => ({
  key,
  id: 1,
  op: "update",
  step: "new",
  order: 1,
  base,
  todo,
  seen: before,
})
const before = { title: "milk", description: null, is_completed: false }

/** The bases of the others, after the first was refused. */
const basesAfterRefusal = (operations: Operation[]) => {
  const [first] = operations
  if (!first) throw new Error("Nothing to refuse")
  const { edits, notices } = refuse("1", operations, first, undefined)
  expect(notices.map(({ kind }) => kind)).toEqual(["refused"])
  return edits.map((edit) => ("base" in edit ? edit.base : undefined))
}

test("those that were based on it are based on what was there before, the others stay as they are", () => {
  const titles = [
    edit("1", { title: "milk" }, { title: "" }),
    edit("2", { title: "" }, { title: "tea" }),
    edit("of another tab", { title: "" }, { title: "oats" }),
    edit("3", { title: "tea" }, { title: "green tea" }),
  ]
  expect(basesAfterRefusal(titles)).toEqual([
    { title: "milk" },
    { title: "milk" },
    { title: "tea" },
  ])
})

test("what another edit made again is the base of those after it", () => {
  const toggles = [
    edit("1", { is_completed: false }, { is_completed: true }),
    edit("2", { is_completed: true }, { is_completed: false }),
    edit("3", { is_completed: false }, { is_completed: true }),
    edit("4", { is_completed: true }, { is_completed: false }),
  ]
  expect(basesAfterRefusal(toggles).map((base) => base?.is_completed)).toEqual([false, false, true])
})

test("a deletion is based on what was there before, too", () => {
  const deletion: Operation = {
    key: "2",
    id: 1,
    op: "delete",
    step: "new",
    order: 2,
    at: 0,
    base: { ...before, title: "" },
  }
  expect(basesAfterRefusal([edit("1", { title: "milk" }, { title: "" }), deletion])).toEqual([
    before,
  ])
})
