/** Every click that was made, and whether each is there exactly once or was told. */
import type { Todo } from "../../../src/client/calls.ts"
import type { Notice } from "../../../src/client/live/model.ts"

/**
 * `marker`: the description, which a todo keeps for ever. Titles are never used twice. `isStored`:
 * the click was taken; one whose client was killed at that moment may be there or not. `profile`:
 * the browser that it was made in.
 */
export type Click = { marker: string; profile: number; isStored: boolean } & (
  | { kind: "create"; title: string }
  | { kind: "edit"; base: string; title: string }
  | { kind: "delete" }
)

const isAbout = ({ todo, ...notice }: Notice, title: string) =>
  todo.title === title ||
  (notice.kind === "conflict" && notice.members.some(({ mine }) => mine === title))

/** What is wrong, in words. */
export const findLostClicks = (
  clicks: readonly Click[],
  todos: readonly Todo[],
  notices: readonly Notice[],
): string[] => {
  const wrong: string[] = []
  const markers = new Set(clicks.map(({ marker }) => marker))
  const isTold = (title: string) => notices.some((notice) => isAbout(notice, title))

  for (const marker of markers) {
    const mine = clicks.filter((click) => click.marker === marker)
    const there = todos.filter(({ description }) => description === marker)
    const deletes = mine.filter(({ kind, isStored }) => kind === "delete" && isStored)
    if (there.length > 1) wrong.push(`${marker} is there ${there.length} times`)
    const [todo] = there
    const created = mine.find((click) => click.kind === "create")
    if (!todo) {
      const isExplained =
        !created?.isStored || mine.some(({ kind }) => kind === "delete") || isTold(created.title)
      if (!isExplained) wrong.push(`${marker} is lost, and nobody was told`)
      continue
    }
    const undone = notices.filter(({ op, id }) => op === "delete" && id === todo.id)
    if (deletes.length > undone.length) wrong.push(`${marker} is there after it was deleted`)

    // From the title that is there back to the first: each was seen by whoever replaced it.
    const edits = mine.filter((click) => click.kind === "edit")
    const chain = new Set<string>()
    for (let title: string | undefined = todo.title; title !== undefined; ) {
      if (chain.has(title)) wrong.push(`${marker}: ${title} came twice`)
      if (chain.has(title)) break
      chain.add(title)
      const at: string = title
      title = edits.find((edit) => edit.title === at)?.base
    }
    if (created && !chain.has(created.title))
      wrong.push(`${marker}: ${todo.title} comes from nowhere`)
    // A later click in the same browser replaced it before it was sent, and that one was told.
    const isKnown = (title: string): boolean =>
      chain.has(title) ||
      isTold(title) ||
      edits.some(({ base, title: next }) => base === title && isKnown(next))
    const isDropped = (edit: Click) =>
      undone.length > 0 &&
      mine
        .slice(mine.indexOf(edit))
        .some(({ kind, profile }) => kind === "delete" && profile === edit.profile)
    for (const edit of edits)
      if (edit.isStored && !isKnown(edit.title) && !isDropped(edit))
        wrong.push(`${marker}: ${edit.title} is lost, and nobody was told`)
  }
  return wrong
}
