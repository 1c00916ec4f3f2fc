/** What becomes of the edits behind one that the service refuses. */
import { expect, test } from "bun:test"
import type { Operation } from "../../src/client/live/model.ts"
import { refuse } from "../../src/client/live/settle.ts"

const before = { title: "milk", description: null, is_completed: false }
const common = { id: 1, step: "new", order: 1 } as const
const rename = (key: string, etag?: string): Operation => ({
  ...{ ...common, key, etag, op: "update", base: { title: "milk" }, todo: { title: key } },
  seen: before,
})

test("those behind an update stay, on the version that it was based on", () => {
  const first = rename("tea", '"1"')
  const [edits, notices = []] = refuse("1", [first, rename("oats")], first, undefined)
  expect(edits).toEqual([rename("oats", '"1"')])
  expect(notices.map(({ kind, last }) => [kind, last.title])).toEqual([["refused", "milk"]])
})

test("those behind a create are refused with it, and each is reported", () => {
  const create: Operation = { ...common, key: "milk", op: "create", todo: before, at: 0 }
  const [edits, notices = []] = refuse("milk", [create, rename("tea")], create, undefined)
  expect(edits).toEqual([])
  expect(notices.map(({ op }) => op)).toEqual(["create", "update"])
})
