/** Todos that are inserted by SQL, in the revision and the count of their owners, as the service does it. */
import type postgres from "postgres"

type Tag = postgres.Sql | postgres.TransactionSql

/**
 * `rows` is a SELECT whose columns are `owner_id` and then those that are named. Its order is that of the
 * ids, to which this resolves.
 */
export const insertTodos = async (
  sql: Tag,
  columns: string,
  rows: string,
  values: (string | number | null)[] = [],
): Promise<number[]> => {
  const inserted = await sql.unsafe<{ id: string }[]>(
    `with given (owner_id, ${columns}) as (
      ${rows}
    ), placed as (
      select *, row_number() over () as place
      from given
    ), revised as (
      insert into revisions as known (owner_id, revision, todos)
      select owner_id, count(*), count(*)
      from given
      group by owner_id
      on conflict on constraint revisions_pkey do update
      set revision = known.revision + excluded.todos,
        todos = known.todos + excluded.todos
      returning owner_id, revision
    )
    insert into todos (owner_id, ${columns}, revision)
    select owner_id, ${columns}, revision
    from placed
    join revised using (owner_id)
    order by place
    returning id`,
    values,
  )
  return inserted.map(({ id }) => Number(id))
}

/** `count` todos of an owner that are called 'todo 1', 'todo 2' and so on, as `n` counts them. */
export const insertMany = (
  sql: Tag,
  ownerId: number,
  count: number,
  { title = "'todo ' || n", description = "null", isCompleted = "false" } = {},
) =>
  insertTodos(
    sql,
    "title, description, is_completed",
    `select ${ownerId}::bigint, ${title}, ${description}, ${isCompleted}
      from generate_series(1, ${count}::integer) as n`,
  )

/** Changes of a todo as another instance would make them, in any transaction. */
export const changeTitle = (sql: Tag, ownerId: number, id: number, title: string) => sql`
  with before as (
    select id
    from todos
    where owner_id = ${ownerId}
      and id = ${id}
    for update
  ), revised as (
    insert into revisions as known (owner_id, revision)
    select ${ownerId}::bigint, 1
    from before
    on conflict on constraint revisions_pkey do update
    set revision = known.revision + 1
    returning revision
  )
  update todos
  set title = ${title},
    version = todos.version + 1,
    revision = revised.revision
  from revised
  where owner_id = ${ownerId}
    and id = ${id}`

export const deleteTodo = (sql: Tag, ownerId: number, id: number) => sql`
  with before as (
    select id
    from todos
    where owner_id = ${ownerId}
      and id = ${id}
    for update
  ), revised as (
    insert into revisions as known (owner_id, revision)
    select ${ownerId}::bigint, 1
    from before
    on conflict on constraint revisions_pkey do update
    set revision = known.revision + 1,
      todos = known.todos - 1
    returning revision
  ), deleted as (
    delete from todos
    using revised
    where owner_id = ${ownerId}
      and id = ${id}
  )
  insert into deleted_todos (owner_id, id, revision)
  select ${ownerId}::bigint, ${id}::bigint, revision
  from revised`

/** The owners whose todos are not counted right, or have no revision: there should be none. */
export const MISCOUNTED = `
  select owner_id, counted.todos, counted.unrevised, known.todos as known
  from (
    select owner_id, count(*) as todos, count(*) filter (where revision < 1) as unrevised
    from todos
    group by owner_id
  ) as counted
  full join (select owner_id, todos from revisions) as known using (owner_id)
  where coalesce(counted.todos, 0) is distinct from known.todos
    or counted.unrevised > 0`
