/** All SQL of backups: it reads and writes whole tables, and no part of one. */
import type { Readable, Writable } from "node:stream"
import type postgres from "postgres"
import type { Transaction } from "./connection.ts"

/** What COPY writes must not depend on how a server or a role is set up. */
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

/** Of those tables that there are, in the order of their names here: what can be written to. */
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

/** The number that each of the sequences that there are would give next, with no gap before it. */
export const nextNumbers = async (sql: Transaction, sequences: string[]) => {
  const found: Record<string, string> = {}
  for (const name of sequences) {
    const [known] = await sql`select to_regclass(${name}) is not null as is_there`
    if (!known?.["is_there"]) continue
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

export const countRows = async (sql: Transaction, table: string) => {
  const [row] = await sql<[{ count: string }]>`
    select count(*)
    from ${sql(table)}`
  return Number(row.count)
}

/** Of these tables, those that have a row. */
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

/** Nobody reads or writes until the transaction ends. */
export const lockTables = (sql: Transaction, tables: string[]) => sql`
  lock table ${sql(tables)} in access exclusive mode`

/** Triggers tell what changes; a restore changes nothing. */
export const withoutTriggers = async (
  sql: Transaction,
  tables: string[],
  work: () => Promise<void>,
) => {
  const found = await sql<{ table: string }[]>`
    select distinct named.table
    from json_array_elements_text(${names(tables)}::text::json) as named ("table")
    join pg_trigger on tgrelid = to_regclass(named.table)
    where not tgisinternal`
  for (const { table } of found) await sql`alter table ${sql(table)} disable trigger user`
  await work()
  for (const { table } of found) await sql`alter table ${sql(table)} enable trigger user`
}

/**
 * Indexes and foreign keys are made in a fraction of the time that it takes to keep them up with
 * every row; and to make one is to look at all rows that there are.
 */
export const withoutIndexes = async (
  sql: Transaction,
  tables: string[],
  work: () => Promise<void>,
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
  await work()
  for (const { making } of found) await sql.unsafe(making)
}

/** `distance` beyond the number that would have been next, or as far as the sequence goes. */
export const setNextNumber = (
  sql: Transaction,
  sequence: string,
  next: string,
  distance: number,
) => sql`
  select setval(${sequence}, least(${next}::bigint + ${distance}::integer, seqmax), false)
  from pg_sequence
  where seqrelid = to_regclass(${sequence})`

/**
 * What happened after the backup is not known here: the states of the feed that clients keep belong
 * to another epoch from now on. A schema without a feed has none.
 */
export const renewEpoch = async (sql: Transaction) => {
  if ((await columnsOf(sql, ["epochs"])).length > 0)
    await sql`update epochs set epoch = gen_random_uuid()`
}

/**
 * A distributed Postgres has no foreign key by which the first todo of a user from outside would
 * find that there is no such user yet. A schema without revisions was never distributed.
 */
export const addMissingUsers = async (sql: Transaction) => {
  if ((await columnsOf(sql, ["revisions"])).length > 0)
    await sql`
      insert into users (id)
      select owner_id
      from revisions
      on conflict do nothing`
}

/** Otherwise the first statements would be planned as for empty tables. */
export const analyze = (sql: postgres.Sql, tables: string[]) => sql`analyze ${sql(tables)}`
