/** What a backup holds, and what it leaves out: every table and sequence of the schema is named here. */

/** In the order in which a restore can load them: what a foreign key refers to comes first. */
export const TABLES = [
  "users",
  "identities",
  "sessions",
  "refresh_tokens",
  "revocations",
  "todos",
  "idempotency_keys",
]

/** And why. */
export const TABLES_LEFT_OUT: Record<string, string> = {
  schema_migrations: "the backup's manifest names the migrations, and a restore applies them",
  throttles: "it counts the attempts of the last minutes, and nobody restores those",
}

export const COLUMNS_LEFT_OUT: Record<string, string> = {
  "revocations.transaction_id": "another cluster counts its transactions anew: the restore's own",
}

export const SEQUENCES = ["user_ids", "todo_ids"]
