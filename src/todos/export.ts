/** The lists of an export that concern todos. */
import { t } from "elysia"
import type { Sql } from "../database/sql.ts"
import { rowsOf, type StreamedList } from "../http/json-stream.ts"
import { id, instant, shape } from "../http/schema.ts"
import { listTodos } from "./lists/pages.ts"
import { EVERYTHING } from "./lists/parameters.ts"
import { pagesAfter } from "./lists/response.ts"
import { columns, todo, tombstone } from "./members.ts"

export const exportedLists = (sql: Sql): Record<string, StreamedList> => ({
  todos: {
    items: todo,
    pages: (ownerId, client) =>
      pagesAfter(
        (limit, after, signal) =>
          listTodos(sql, { ownerId, selection: EVERYTHING, limit, after, signal }),
        undefined,
        client,
      ),
  },
  deleted_todos: {
    items: tombstone,
    pages: rowsOf(
      sql,
      `select id, revision, ${columns()}, created_at, updated_at, deleted_at
       from deleted_todos
       where owner_id = $1`,
      ["revision", "id"],
    ),
  },
  idempotency_keys: {
    items: usedKey,
    pages: rowsOf(
      sql,
      "select key, todo_id, created_at from idempotency_keys where owner_id = $1",
      ["key"],
    ),
  },
})

const usedKey = shape(
  "UsedKey",
  { key: t.String(), todo_id: id, created_at: instant() },
  { description: "An Idempotency-Key that is remembered" },
)
