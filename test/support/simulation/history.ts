/** Records every version of every todo, and every deletion, by a trigger in the database. */
import type { Members } from "../../../src/client/live/model.ts"
import type { Sql } from "../../../src/database/sql.ts"

export type Version = Members & {
  id: number
  version: number
  updated_at: string
  is_deleted: boolean
}

export const recordHistory = async (sql: Sql) => {
  await sql`
    create table history (
      owner_id bigint not null,
      id bigint not null,
      version bigint not null,
      title text not null,
      description text,
      is_completed boolean not null,
      updated_at timestamptz not null,
      is_deleted boolean not null,
      primary key (owner_id, id, version, is_deleted)
    )`
  await sql`
    create function record() returns trigger language plpgsql as $$
    declare
      seen todos := coalesce(new, old);
    begin
      insert into history
      values (seen.owner_id, seen.id, seen.version, seen.title, seen.description,
        seen.is_completed, seen.updated_at, tg_op = 'DELETE');
      return null;
    end $$`
  await sql`
    create trigger recorded after insert or update of version or delete on todos
    for each row execute function record()`
}

export const readHistory = (sql: Sql, ownerId: number): Promise<Version[]> =>
  sql<Version[]>`
    select id, version, title, description, is_completed, updated_at, is_deleted
    from history
    where owner_id = ${ownerId}
    order by id, version, is_deleted`
