/** The SQL that exports what todos store about a user. Every statement names the owner. */
import type { Sql } from "../database/connect.ts"
import type { DeletedTodo, UsedKey } from "./export-model.ts"
import type { Todo } from "./members.ts"

/** The todos that follow `after`, ordered by id. */
export const readTodos = (sql: Sql, ownerId: number, limit: number, after: Todo | undefined) => sql<
  Todo[]
>`
  select id, title, description, is_completed, created_at, updated_at
  from todos
  where owner_id = ${ownerId}
    and id > ${after?.id ?? 0}
  order by id
  limit ${limit}`

/** The deletions that follow `after`, in the order of deletion. */
export const readDeletedTodos = (
  sql: Sql,
  ownerId: number,
  limit: number,
  after: DeletedTodo | undefined,
) => sql<DeletedTodo[]>`
  select id, revision, deleted_at
  from deleted_todos
  where owner_id = ${ownerId}
    and (revision, id) > (${after?.revision ?? 0}, ${after?.id ?? 0})
  order by revision, id
  limit ${limit}`

/** The keys that follow `after`, in their order. */
export const readKeys = (
  sql: Sql,
  ownerId: number,
  limit: number,
  after: UsedKey | undefined,
) => sql<UsedKey[]>`
  select key, todo_id, created_at
  from idempotency_keys
  where owner_id = ${ownerId}
    and key > ${after?.key ?? ""}
  order by key
  limit ${limit}`
