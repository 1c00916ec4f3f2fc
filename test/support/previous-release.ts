/** What the release before revisions wrote, statement by statement: it serves while this one is deployed. */
import type postgres from "postgres"

type Tag = postgres.Sql | postgres.TransactionSql

export const previousRelease = (sql: Tag, ownerId: number) => ({
  async create(title: string): Promise<number> {
    const [row] = await sql`
      insert into todos (owner_id, title, description, is_completed)
      values (${ownerId}, ${title}, null, false)
      returning id, title, description, is_completed, created_at, updated_at, version`
    return Number(row?.["id"])
  },

  async createOnce(key: string, title: string): Promise<number> {
    const [row] = await sql`
      with claimed as (
        insert into idempotency_keys as known (owner_id, key, body_hash, todo_id)
        values (${ownerId}, ${key}, ${Buffer.alloc(32)}, nextval('todo_ids'))
        on conflict on constraint idempotency_keys_pkey do update
        set body_hash = excluded.body_hash,
          todo_id = excluded.todo_id,
          created_at = excluded.created_at
        where known.created_at <= now() - interval '24 hours'
        returning todo_id
      )
      insert into todos (owner_id, id, title, description, is_completed)
      select ${ownerId}::bigint, todo_id, ${title}, null, false
      from claimed
      returning id, title, description, is_completed, created_at, updated_at, version`
    return Number(row?.["id"])
  },

  async update(id: number, title: string) {
    await sql`
      with before as (
        select id
        from todos
        where owner_id = ${ownerId}
          and id = ${id}
        for update
      )
      update todos
      set title = ${title},
        version = todos.version + 1,
        updated_at = greatest(now(), todos.updated_at + interval '1 millisecond')
      from before
      where todos.owner_id = ${ownerId}
        and todos.id = ${id}
        and todos.title is distinct from ${title}`
  },

  async delete(id: number) {
    await sql`
      with before as (
        select id
        from todos
        where owner_id = ${ownerId}
          and id = ${id}
        for update
      ), gone as (
        delete from todos
        using before
        where todos.owner_id = ${ownerId}
          and todos.id = ${id}
      )
      select id
      from before`
  },

  async deleteAll() {
    await sql`
      delete from todos
      where owner_id = ${ownerId}
        and id in (
          select id
          from todos
          where owner_id = ${ownerId}
          order by id
          limit 5000
        )`
  },
})
