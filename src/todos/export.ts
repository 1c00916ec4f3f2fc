/** The lists of an export that concern todos. */

import { t } from "elysia"
import type { Sql } from "../database/connect.ts"
import { rowsOf, type StreamedList } from "../http/json-stream.ts"
import { id } from "../http/schema.ts"
import { pagesAfter } from "./lists/pages.ts"
import { EVERYTHING } from "./lists/parameters.ts"
import { todo } from "./members.ts"

export const exportedLists = (sql: Sql): Record<string, StreamedList> => ({
  todos: {
    items: todo,
    pages: (userId, signal) => pagesAfter(sql, userId, EVERYTHING, undefined, signal),
  },
  deleted_todos: {
    items: deletedTodo,
    pages: rowsOf(sql, {
      name: "deleted_todos",
      owner: "owner_id",
      columns: "id, revision, deleted_at",
      key: { revision: (at) => `${at}::bigint`, id: (at) => `${at}::bigint` },
    }),
  },
  idempotency_keys: {
    items: usedKey,
    pages: rowsOf(sql, {
      name: "idempotency_keys",
      owner: "owner_id",
      columns: "key, todo_id, created_at",
      key: { key: (at) => at },
    }),
  },
})

const deletedTodo = t.Object(
  { id, revision: id, deleted_at: t.String({ format: "date-time" }) },
  {
    $id: "DeletedTodo",
    description: "A deleted todo that is still remembered",
    additionalProperties: false,
  },
)

const usedKey = t.Object(
  { key: t.String(), todo_id: id, created_at: t.String({ format: "date-time" }) },
  {
    $id: "UsedKey",
    description: "An Idempotency-Key that is remembered",
    additionalProperties: false,
  },
)
