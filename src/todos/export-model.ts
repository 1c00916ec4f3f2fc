/** The shapes of an export, apart from the todos themselves. */
import { type Static, t } from "elysia"
import { id } from "../http/schema-id.ts"

export const deletedTodo = t.Object(
  { id, revision: id, deleted_at: t.String({ format: "date-time" }) },
  {
    $id: "DeletedTodo",
    description: "A deleted todo that is still remembered",
    additionalProperties: false,
  },
)
export type DeletedTodo = Static<typeof deletedTodo>

export const usedKey = t.Object(
  { key: t.String(), todo_id: id, created_at: t.String({ format: "date-time" }) },
  {
    $id: "UsedKey",
    description: "An Idempotency-Key that is remembered",
    additionalProperties: false,
  },
)
export type UsedKey = Static<typeof usedKey>
