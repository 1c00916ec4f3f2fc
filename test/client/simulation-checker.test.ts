/** What the simulation's checker accepts, and that it finds what is lost: it must be able to fail. */
import { expect, test } from "bun:test"
import type { Notice } from "../../src/client/live/model.ts"
import { type Click, findLostClicks } from "../support/simulation/clicks.ts"
import { versionName } from "../support/simulation/network.ts"

const MINE = 0
const THEIRS = 1

/** A change of the title, as somebody clicked it who was shown version `seen`. */
const update = (from: string, to: string, seen: number): Click => ({
  op: "update",
  marker: "m",
  profile: MINE,
  id: 1,
  seen: String(seen),
  base: { title: from },
  todo: { title: to },
  isStored: true,
})
const about = {
  key: "k",
  todo_key: "1",
  id: 1,
  op: "update",
  last: { title: "", description: null, is_completed: false },
  message: "",
} as const
const refused = (title: string): Notice => ({
  ...about,
  todo: { title },
  kind: "refused",
  error: undefined,
})
const conflict = (base: string, mine: string): Notice => ({
  ...about,
  todo: { title: mine },
  kind: "conflict",
  members: [{ member: "title", base, mine, theirs: "?" }],
})

/** Versions in order: the number, the title, and who made it. */
const check = (
  versions: [number, string, number][],
  clicks: Click[],
  notices: Notice[] = [],
): boolean => {
  const wrong = findLostClicks({
    clicks: [creation, ...clicks],
    versions: versions.map(([version, title]) => ({
      id: 1,
      version,
      title,
      description: "m",
      is_completed: false,
      updated_at: String(version),
      is_deleted: false,
    })),
    authors: new Map(versions.map(([version, , profile]) => [versionName(1, version), profile])),
    notices: [notices, []],
  })
  return wrong.length === 0
}

const created: [number, string, number] = [1, "a", THEIRS]
const creation: Click = {
  ...update("", "", 0),
  op: "create",
  profile: THEIRS,
  seen: undefined,
  base: {},
  todo: { title: "a", description: "m", is_completed: false },
}

test("a click that made a version is there", () => {
  expect(check([created, [2, "b", MINE]], [update("a", "b", 1)])).toBe(true)
})

test("a click that made none, and was not told, is lost", () => {
  expect(check([created], [update("a", "b", 1)])).toBe(false)
  const clicks = [update("a", "b", 1), update("b", "c", 1)]
  expect(check([created, [2, "b", MINE]], clicks)).toBe(false)
})

test("a version that no click made is found", () => {
  expect(check([created, [2, "b", MINE], [3, "c", MINE]], [update("a", "b", 1)])).toBe(false)
})

test("a click that was done twice is found", () => {
  const versions: [number, string, number][] = [
    created,
    [2, "b", MINE],
    [3, "a", THEIRS],
    [4, "b", MINE],
  ]
  const theirs = { ...update("b", "a", 2), profile: THEIRS }
  expect(check(versions, [update("a", "b", 1), theirs])).toBe(false)
  expect(check(versions.slice(0, 3), [update("a", "b", 1), theirs])).toBe(true)
})

test("a click that was never stored may be there or not", () => {
  const click = { ...update("a", "b", 1), isStored: false }
  expect(check([created, [2, "b", MINE]], [click])).toBe(true)
  expect(check([created], [click])).toBe(true)
})

test("clicks that were sent as one make one version", () => {
  const clicks = [update("a", "b", 1), update("b", "c", 1)]
  expect(check([created, [2, "c", MINE]], clicks)).toBe(true)
})

test("another tab's clicks that were sent as one, and were in conflict, have to be told", () => {
  const clicks = [
    update("a", "b", 1),
    update("a", "x", 1),
    update("x", "y", 1),
    update("b", "c", 1),
  ]
  const versions: [number, string, number][] = [created, [2, "c", MINE]]
  expect(check(versions, clicks, [conflict("a", "y")])).toBe(true)
  expect(check(versions, clicks)).toBe(false)
})

test("clicks that are based on a refused one go on from what it was based on", () => {
  const clicks = [update("a", "", 1), update("", "b", 1), update("", "x", 1), update("b", "c", 2)]
  const versions: [number, string, number][] = [created, [2, "b", MINE], [3, "c", MINE]]
  expect(check(versions, clicks, [refused(""), conflict("a", "x")])).toBe(true)
  expect(check(versions, clicks, [refused("")])).toBe(false)
})
