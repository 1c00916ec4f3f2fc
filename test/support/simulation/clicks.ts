/**
 * Checks that every click took effect exactly once, or that the user was told why it did not.
 *
 * All versions of a todo are known, and which browser made each. In their order, the clicks of a
 * browser on a member of a todo have to explain every change that this browser made to it. Each
 * click has to be one of these changes, or told by a notice, or replaced by the click after it.
 */
import { MEMBERS, type Member, type Members, type Notice } from "../../../src/client/live/model.ts"
import type { Version } from "./history.ts"
import { deletionName, versionName } from "./network.ts"

/**
 * `marker`: the first word of the description, which identifies a todo for ever. `seen`: the
 * `updated_at` that was shown. `base`: the values that were shown of the members that the click
 * changes. `isStored`: the click was accepted. If its client was killed before that, it may have
 * taken effect or not.
 */
export type Click = {
  op: "create" | "update" | "delete"
  marker: string
  profile: number
  /** The id that was shown: negative until the todo was saved. */
  id: number
  seen: string | undefined
  base: Partial<Members>
  todo: Partial<Members>
  isStored: boolean
}
type Value = Members[Member] | undefined
/** A click on one member. */
type Step = { from: Value; to: Value; seen: number; isStored: boolean; isDeletedLater: boolean }
type Change = { from: Value; to: Value; made: Version }
/** What a notice told about a member. */
type Told = { mine: Value; base: Value; kind: Notice["kind"] }

type Case = { steps: Step[]; versions: readonly Version[]; member: Member; told: Told[] }

/** Whether it is based on the edit's last step, or does the same in a tab that had not shown it. */
const goesOn = (edit: readonly Step[], step: Step) => {
  const last = edit.at(-1)
  return !last || last.to === step.from || last.to === step.to
}

/** An edit that was undone. The next edits are then based on `from` where they were on `to`. */
type Undone = { from: Value; to: Value }

type State = {
  /** The next step. */
  at: number
  /** The steps before it that were not sent yet when it was made. They are sent as one edit. */
  group: readonly Step[]
  /** Later steps of another tab: one edit, which left the queue, in conflict with the group. */
  aside: readonly Step[]
  changes: readonly Change[]
  told: readonly Told[]
  /** The newest first. */
  undone: readonly Undone[]
  /** The latest version that the steps before it explain. */
  reached: number
}

const START = { at: 0, group: [], aside: [], undone: [], reached: 0 }

/** The values that an edit may be based on when it is sent. */
const basesOf = (first: Step, undone: readonly Undone[]) => {
  const bases = [first.from]
  for (const { from, to } of undone) if (bases.includes(to)) bases.push(from)
  return bases
}

/** Whether the remaining steps explain all changes, in order, and are all explained themselves. */
const explains = (known: Case, state: State): boolean => {
  const { steps, versions, member } = known
  const { at, group, aside, changes, told, undone, reached } = state
  const step = steps[at]
  if (!step) return group.length + aside.length + changes.length === 0
  const goOn = (next: Partial<State>) => explains(known, { ...state, at: at + 1, ...next })
  // It was never stored, or a later delete replaced it, and that took effect or was told.
  if ((!step.isStored || step.isDeletedLater) && goOn({})) return true

  const isOther = !goesOn(group, step)
  if (isOther ? !goesOn(aside, step) : aside.length > 0) return false
  const edit = [...(isOther ? aside : group), step]
  const [first = step] = edit
  const bases = basesOf(first, undone)
  const index = told.findIndex(
    ({ mine, base, kind }) => mine === step.to && (kind === "refused" || bases.includes(base)),
  )
  const ended = {
    told: told.toSpliced(index, 1),
    // Another tab may have shown any of its steps.
    undone: [...edit.map(({ to }) => ({ from: first.from, to })).reverse(), ...undone],
  }
  const isTold = index !== -1
  if (isOther) return (isTold && goOn({ ...ended, aside: [] })) || goOn({ aside: edit })

  const [change, ...later] = changes
  const isMade =
    change !== undefined &&
    change.to === step.to &&
    bases.includes(change.from) &&
    change.made.version > first.seen
  if (isMade && goOn({ group: [], changes: later, reached: change.made.version })) return true
  // Somebody else had set the same value, or the last step of the group reverted the first.
  const same = versions.find(
    (one) => one.version >= Math.max(first.seen, reached) && one[member] === step.to,
  )
  if (same && goOn({ group: [], reached: same.version })) return true
  return (isTold && goOn({ ...ended, group: [] })) || goOn({ group: edit })
}

type Given = {
  clicks: readonly Click[]
  versions: readonly Version[]
  /** The profile that made a version, by version name. */
  authors: ReadonlyMap<string, number>
  /** By profile. */
  notices: readonly (readonly Notice[])[]
}

const toldOf = (notices: readonly Notice[], member: Member): Told[] =>
  notices.flatMap((notice): Told[] => {
    if (notice.kind === "refused")
      return member in notice.todo
        ? [{ kind: notice.kind, mine: notice.todo[member], base: undefined }]
        : []
    return notice.members
      .filter((conflict) => notice.op === "update" && conflict.member === member)
      .map(({ mine, base }) => ({ kind: notice.kind, mine, base }))
  })

const changesOf = (versions: readonly Version[], member: Member): Change[] =>
  versions.flatMap((one, index) => {
    const from = versions[index - 1]?.[member]
    return one.is_deleted || (index > 0 && from === one[member])
      ? []
      : [{ from, to: one[member], made: one }]
  })

const markerOf = ({ description }: Pick<Members, "description">) => description?.split(" ")[0] ?? ""

const ofProfile = (clicks: readonly Click[], profile: number | undefined) =>
  clicks.filter((click) => click.profile === profile)

/** Whether a click deleted the todo as it was, apart from earlier edits of the same browser. */
const isSeen = (there: Members, clicks: readonly Click[]) =>
  clicks.some(({ op, base }, index) => {
    const before = clicks.slice(0, index).reverse()
    const hasSeen = (member: Member) => {
      let value = base[member]
      for (const edit of before) {
        if (value === there[member]) break
        if (edit.todo[member] === value) value = edit.base[member]
      }
      return value === there[member]
    }
    return op === "delete" && MEMBERS.every(hasSeen)
  })

/** A conflict with what was there before a title that was refused: nobody else has changed it. */
const isFalse = (notice: Notice, clicks: readonly Click[], told: readonly Notice[]) =>
  notice.kind === "conflict" &&
  notice.members.some(
    ({ member, base, theirs }) =>
      member === "title" &&
      told.some(({ kind, todo }) => kind === "refused" && todo.title === base) &&
      clicks.some((click) => click.todo.title === base && click.base.title === theirs),
  )

/** What is wrong with one todo, in words. */
const findWrong = (marker: string, { clicks, versions, authors, notices }: Given): string[] => {
  const wrong: string[] = []
  const ids = new Set(clicks.map(({ id }) => id))
  const id = versions[0]?.id
  if (versions.some((one) => one.id !== id)) return [`${marker} was created twice`]
  if (id !== undefined) ids.add(id)
  const last = versions.at(-1)
  const seenVersion = (seen: string | undefined) =>
    versions.findLast(({ updated_at }) => updated_at === seen)?.version ?? 0
  const authorOf = (one: Version) =>
    authors.get((one.is_deleted ? deletionName : versionName)(one.id, one.version))

  const anonymous = versions.find((one) => authorOf(one) === undefined)
  if (anonymous) wrong.push(`${marker}: nobody was told of version ${anonymous.version}`)
  if (last?.is_deleted && !isSeen(last, ofProfile(clicks, authorOf(last))))
    wrong.push(`${marker} was deleted by somebody who had not seen it as it was`)

  for (const [profile, told] of notices.entries()) {
    const mine = ofProfile(clicks, profile)
    const about = told.filter((notice) => ids.has(notice.id))
    const deletes = mine.filter(({ op, isStored }) => op === "delete" && isStored)
    const kept = about.filter(({ op }) => op === "delete")
    if (last && !last.is_deleted && deletes.length > kept.length)
      wrong.push(`${marker} is there after profile ${profile} has deleted it`)

    if (about.some((notice) => isFalse(notice, mine, about)))
      wrong.push(`${marker} is in conflict with nobody, by what profile ${profile} was told`)

    for (const member of MEMBERS) {
      const steps = mine.flatMap(({ op, base, todo, seen, isStored }, index): Step[] =>
        op === "delete" || !(member in todo)
          ? []
          : [
              {
                from: base[member],
                to: todo[member],
                seen: seenVersion(seen),
                isStored,
                isDeletedLater: mine.slice(index).some((later) => later.op === "delete"),
              },
            ],
      )
      const changes = changesOf(versions, member).filter((one) => authorOf(one.made) === profile)
      const known = { steps, versions, member, told: toldOf(about, member) }
      if (!explains(known, { ...START, changes, told: known.told }))
        wrong.push(`${marker}, ${member}, profile ${profile}: ${inWords(known, changes)}`)
    }
  }
  return wrong
}

const inWords = ({ steps, versions, member, told }: Case, own: readonly Change[]) => {
  const clicked = steps.map(
    ({ from, to, seen, isStored, isDeletedLater }) =>
      `${from} to ${to} at ${seen}${isStored ? "" : " perhaps"}${isDeletedLater ? " (deleted)" : ""}`,
  )
  const became = versions.map((one) => `${one.version} ${one.is_deleted ? "deleted" : one[member]}`)
  return [
    `clicks ${clicked.join(", ")} do not explain its versions ${own.map(({ made }) => made.version)}`,
    `of ${became.join(", ")}`,
    `told: ${told.map(({ kind, base, mine }) => `${kind} ${base} to ${mine}`)}`,
  ].join("; ")
}

export const findLostClicks = (given: Given): string[] => {
  const versions = Map.groupBy(given.versions, markerOf)
  const clicks = Map.groupBy(given.clicks, ({ marker }) => marker)
  return [...new Set([...versions.keys(), ...clicks.keys()])].flatMap((marker) =>
    findWrong(marker, {
      ...given,
      clicks: clicks.get(marker) ?? [],
      versions: versions.get(marker) ?? [],
    }),
  )
}
