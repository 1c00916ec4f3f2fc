/** The three-way merge of a todo: of an edit, its base, and the current todo (`theirs`). */
import { type Delete, type Member, type Members, namesOf, type Update } from "./model.ts"

/**
 * `left` are the members that only the edit changed. If both changed a member to different values,
 * that is a conflict, and theirs stays, because everybody else sees it already. A deletion is in
 * conflict with whatever others have changed since the user saw the todo.
 */
export const mergeEdit = (edit: Update | Delete, theirs: Members) => {
  const base: Partial<Members> = edit.base
  const mine: Partial<Members> = edit.op === "update" ? edit.todo : {}
  const isMine = (name: Member) => theirs[name] === base[name]
  const names = namesOf(base).filter((name) => theirs[name] !== mine[name])
  const conflicts = names
    .filter((name) => !isMine(name))
    .map((member) => ({
      member,
      base: base[member],
      mine: mine[member],
      theirs: theirs[member],
    }))
  return { left: names.filter(isMine), conflicts }
}
