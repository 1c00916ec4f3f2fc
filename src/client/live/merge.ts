/** Three versions of a todo into one: what an edit was based on, the edit, and what is there now. */
import {
  type Conflict,
  type Delete,
  MEMBERS,
  type Members,
  namesOf,
  pick,
  type Update,
} from "./model.ts"

/**
 * What is left of an edit: members that only it changed. Where both changed the same one to
 * different values theirs stays, because it is what everybody else already sees.
 */
export const mergeUpdate = ({ base, todo }: Pick<Update, "base" | "todo">, theirs: Members) => {
  const conflicts: Conflict[] = []
  const left: Partial<Members> = {}
  for (const member of namesOf(todo)) {
    if (theirs[member] === todo[member]) continue
    if (theirs[member] === base[member]) Object.assign(left, { [member]: todo[member] })
    else {
      const [mine, was] = [todo[member], base[member]]
      conflicts.push({ member, base: was, mine, theirs: theirs[member] })
    }
  }
  return { left, conflicts, base: pick(theirs, left) }
}

/** What others have made of a todo since the user saw what they then deleted. */
export const changedSince = ({ base }: Pick<Delete, "base">, theirs: Members): Conflict[] =>
  MEMBERS.filter((member) => base[member] !== theirs[member]).map((member) => ({
    member,
    base: base[member],
    mine: undefined,
    theirs: theirs[member],
  }))
