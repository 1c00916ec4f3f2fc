/** The errors of todos. */
import { Problem } from "../http/problem.ts"

/** The same for another user's todo, so that nobody learns which ids exist. */
export const noSuchTodo = () => new Problem("TODO_NOT_FOUND", "Todo not found or not owned by user")

export const preconditionFailed = () =>
  new Problem("PRECONDITION_FAILED", "The todo has another version than If-Match names")
