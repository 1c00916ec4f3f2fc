/** Every file of db/migrations by its name. Imported one by one: only so are they in the binary. */
import users from "../../../db/migrations/20260101000001_users.sql" with { type: "text" }
import todos from "../../../db/migrations/20260101000002_todos.sql" with { type: "text" }
import sessions from "../../../db/migrations/20260101000003_sessions.sql" with { type: "text" }
import idempotencyKeys from "../../../db/migrations/20260101000004_idempotency_keys.sql" with {
  type: "text",
}
import revocations from "../../../db/migrations/20260101000005_revocations.sql" with {
  type: "text",
}
import throttles from "../../../db/migrations/20260101000006_throttles.sql" with { type: "text" }
import identities from "../../../db/migrations/20260101000007_identities.sql" with { type: "text" }

export const migrationFiles: Record<string, string> = {
  "20260101000001_users.sql": users,
  "20260101000002_todos.sql": todos,
  "20260101000003_sessions.sql": sessions,
  "20260101000004_idempotency_keys.sql": idempotencyKeys,
  "20260101000005_revocations.sql": revocations,
  "20260101000006_throttles.sql": throttles,
  "20260101000007_identities.sql": identities,
}
