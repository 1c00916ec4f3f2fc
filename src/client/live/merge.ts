/** The three-way merge of a todo: of an edit, its base, and the current todo (`theirs`). */
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
 * What is left of an edit: the members that only it changed. If both changed a member to different
 * values, that is a conflict, and theirs stays, because everybody else sees it already.
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

/** The members that others have changed since the user saw the todo that the edit deletes. */
export const changedSince = ({ base }: Pick<Delete, "base">, theirs: Members): Conflict[] =>
  MEMBERS.filter((member) => base[member] !== theirs[member]).map((member) => ({
    member,
    base: base[member],
    mine: undefined,
    theirs: theirs[member],
  }))
