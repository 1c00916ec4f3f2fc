/** The lists of an export that concern todos. */

import { t } from "elysia"
import type { Sql } from "../database/sql.ts"
import { rowsOf, type StreamedList } from "../http/json-stream.ts"
import { id } from "../http/schema.ts"
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
    pages: rowsOf(sql, {
      name: "deleted_todos",
      owner: "owner_id",
      columns: `id, revision, ${columns()}, created_at, updated_at, deleted_at`,
      key: ["revision", "id"],
    }),
  },
  idempotency_keys: {
    items: usedKey,
    pages: rowsOf(sql, {
      name: "idempotency_keys",
      owner: "owner_id",
      columns: "key, todo_id, created_at",
      key: ["key"],
    }),
  },
})

const usedKey = t.Object(
  { key: t.String(), todo_id: id, created_at: t.String({ format: "date-time" }) },
  {
    $id: "UsedKey",
    description: "An Idempotency-Key that is remembered",
    additionalProperties: false,
  },
)
