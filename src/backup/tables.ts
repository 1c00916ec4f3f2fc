/** What a backup contains and what it leaves out. Every table and sequence of the schema is named here. */

/**
 * In the order in which a restore can load them: tables that foreign keys refer to come first. Tables
 * that the database lacks are skipped, so that backups of other versions work.
 */
export const TABLES = [
  "users",
  "identities",
  "invites",
  "password_resets",
  "known_addresses",
  "personal_tokens",
  "sessions",
  "revocations",
  "todos",
  "revisions",
  "deleted_todos",
  "idempotency_keys",
]

/** With the reasons. */
export const TABLES_LEFT_OUT: Record<string, string> = {
  schema_migrations: "the manifest names the migrations, and a restore applies them",
  rate_limits: "it counts the attempts of the last minutes",
  mails: "the service that the backup was made from sends them",
  epochs: "a restored database has another one, so that sync tokens of the old one are refused",
}

export const COLUMNS_LEFT_OUT: Record<string, string> = {
  "revocations.transaction_id": "another cluster counts its transactions anew: the restore's own",
}

export const SEQUENCES = ["user_ids", "todo_ids"]

/** What backups from before 20260101000020 call by another name. */
export const COLUMNS_RENAMED: Record<string, string> = {
  "sessions.moved_at": "rotated_at",
  "revisions.forgotten": "tombstones_forgotten_up_to",
}

/** What backups from before 20260101000020 hold and nothing reads any more. */
export const TABLES_DROPPED = ["refresh_tokens"]
export const COLUMN_DROPPED = { table: "users", column: "shares_email" }
