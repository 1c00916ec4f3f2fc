/** The lists of an export that concern todos. SQL: queries.ts. */
import type { Sql } from "../database/connect.ts"
import { pagesAfter, type StreamedList } from "../http/json-stream.ts"
import { readDeletedTodos, readKeys, readTodos } from "./export.ts"
import { type DeletedTodo, deletedTodo, type UsedKey, usedKey } from "./export-model.ts"
import { type Todo, todo } from "./members.ts"

/** Rows. A page of todos has a few hundred KB at most. */
const AT_ONCE = 100

export const exportedLists = (sql: Sql): Record<string, StreamedList> => ({
  todos: {
    items: todo,
    pages: (userId) =>
      pagesAfter<Todo>(AT_ONCE, (limit, after) => readTodos(sql, userId, limit, after)),
  },
  deleted_todos: {
    items: deletedTodo,
    pages: (userId) =>
      pagesAfter<DeletedTodo>(AT_ONCE, (limit, after) =>
        readDeletedTodos(sql, userId, limit, after),
      ),
  },
  idempotency_keys: {
    items: usedKey,
    pages: (userId) =>
      pagesAfter<UsedKey>(AT_ONCE, (limit, after) => readKeys(sql, userId, limit, after)),
  },
})
