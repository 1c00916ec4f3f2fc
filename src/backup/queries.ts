/** All SQL of backups. It reads and writes whole tables, on a single connection. */
import type { Readable, Writable } from "node:stream"
import type postgres from "postgres"
import { COLUMN_DROPPED } from "./tables.ts"

export type Transaction = postgres.TransactionSql

/** The text that COPY writes must not depend on settings of the server or the role. */
export const useKnownSettings = (sql: Transaction) => sql`
  select set_config(name, wanted, true)
  from pg_settings
  join (
    values
      ('DateStyle', 'ISO'),
      ('IntervalStyle', 'postgres'),
      ('TimeZone', 'UTC'),
      ('bytea_output', 'hex'),
      ('extra_float_digits', '1'),
      ('statement_timeout', '0'),
      ('lock_timeout', '0'),
      ('idle_in_transaction_session_timeout', '0'),
      ('transaction_timeout', '0')
  ) as known (name, wanted) using (name)`

export const serverVersion = async (sql: Transaction) => {
  const [row] = await sql<[{ version: string }]>`
    select current_setting('server_version') as version`
  return row.version
}

const names = (list: string[]) => JSON.stringify(list)

/** The columns that can be written to, of those tables that exist, in the given order. */
export const columnsOf = async (sql: Transaction, tables: string[]) => {
  const rows = await sql<{ table: string; columns: string[] }[]>`
    select named.table, json_agg(attname order by attnum) as columns
    from json_array_elements_text(${names(tables)}::text::json) with ordinality as named ("table", place)
    join pg_attribute on attrelid = to_regclass(named.table)
    where attnum > 0
      and not attisdropped
      and attgenerated = ''
    group by named.table, place
    order by place`
  return rows
}

/** The next number of each sequence, without drawing one. */
export const nextNumbers = async (sql: Transaction, sequences: string[]) => {
  const found: Record<string, string> = {}
  for (const name of sequences) {
    const [row] = await sql<[{ next: string }]>`
      select (last_value + is_called::integer)::text as next
      from ${sql(name)}`
    found[name] = row.next
  }
  return found
}

export const copyOut = (sql: Transaction, table: string, columns: string[]): Promise<Readable> =>
  sql`copy (select ${sql(columns)} from ${sql(table)}) to stdout`.readable()

export const copyIn = (sql: Transaction, table: string, columns: string[]): Promise<Writable> =>
  sql`copy ${sql(table)} (${sql(columns)}) from stdin`.writable()

export const tablesWithRows = async (sql: Transaction, tables: string[]) => {
  const found: string[] = []
  for (const { table } of await columnsOf(sql, tables)) {
    const [row] = await sql`
      select 1
      from ${sql(table)}
      limit 1`
    if (row) found.push(table)
  }
  return found
}

/** Nobody else can read or write the tables until the transaction ends. */
export const lockTables = (sql: Transaction, tables: string[]) => sql`
  lock table ${sql(tables)} in access exclusive mode`

/**
 * Drops indexes and foreign keys during the work, and makes them again afterwards. That takes a fraction
 * of the time of maintaining them row by row, and still checks every row.
 */
export const withoutIndexes = async <Result>(
  sql: Transaction,
  tables: string[],
  work: () => Promise<Result>,
) => {
  const found = await sql<{ removal: string; making: string }[]>`
    select
      format('drop index %s', indexrelid::regclass) as removal,
      pg_get_indexdef(indexrelid) as making
    from json_array_elements_text(${names(tables)}::text::json) as named ("table")
    join pg_index on indrelid = to_regclass(named.table)
    where not exists (select from pg_constraint where conindid = indexrelid)
    union all
    select
      format('alter table %s drop constraint %I', conrelid::regclass, conname),
      format('alter table %s add constraint %I %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
    from json_array_elements_text(${names(tables)}::text::json) as named ("table")
    join pg_constraint on conrelid = to_regclass(named.table)
    where contype = 'f'`
  for (const { removal } of found) await sql.unsafe(removal)
  const result = await work()
  for (const { making } of found) await sql.unsafe(making)
  return result
}

/** Sets the sequence `distance` beyond its next number, or to its end. */
export const setNextNumber = (
  sql: Transaction,
  sequence: string,
  next: string,
  distance: number,
) => sql`
  select setval(${sequence}, least(${next}::bigint + ${distance}::integer, seqmax), false)
  from pg_sequence
  where seqrelid = to_regclass(${sequence})`

/** The changes after the backup are lost, so that sync tokens from then must be refused. */
export const renewEpoch = (sql: Transaction) => sql`update epochs set epoch = gen_random_uuid()`

/**
 * A distributed Postgres has no foreign key by which the first todo of a federated user would find that
 * there is no such user yet.
 */
export const addMissingUsers = (sql: Transaction) => sql`
  insert into users (id)
  select owner_id
  from revisions
  on conflict do nothing`

/** As 20260101000020 does, for a backup from before it. */
export const countTodos = (sql: Transaction) => sql`
  insert into revisions (owner_id, revision, todos)
  select owner_id, 0, count(*)
  from todos
  group by owner_id
  on conflict on constraint revisions_pkey do update
  set todos = excluded.todos`

/** COPY cannot leave out a column of the rows that it reads. */
export const addDroppedColumn = (sql: Transaction) => sql`
  alter table ${sql(COLUMN_DROPPED.table)} add column ${sql(COLUMN_DROPPED.column)} text`

export const dropColumnAgain = (sql: Transaction) => sql`
  alter table ${sql(COLUMN_DROPPED.table)} drop column ${sql(COLUMN_DROPPED.column)}`

/** Without it the first statements would be planned as for empty tables. */
export const analyze = (sql: postgres.Sql, tables: string[]) => sql`analyze ${sql(tables)}`
