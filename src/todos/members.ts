/**
 * The members of a todo. The table below is the only place that names them: shapes, SQL, comparison and
 * JSON follow from it. A member that clients can search, filter or sort by needs an index, and is named
 * in lists/, too.
 */
import { type TOptional, type TSchema, Type } from "@sinclair/typebox"
import { type Static, t } from "elysia"
import type { Value } from "../database/sql.ts"
import { id, instant, NullableText, nullable, shape, Text } from "../http/schema.ts"

/** `initially` is what it has in a todo that was created without it. Without that it is required. */
type Member = { schema: TSchema; sql: "text" | "boolean" | "bigint"; initially?: Value }

const members = {
  title: {
    schema: Text({
      description: "Must not be blank",
      examples: ["Buy milk"],
      minLength: 1,
      maxLength: 254,
      pattern: "[^\\s\\x85]",
      patternMessage: "must not be only white space",
    }),
    sql: "text",
  },
  description: {
    schema: NullableText({ examples: ["Two litres, and oats"], maxLength: 999 }),
    sql: "text",
    initially: null,
  },
  is_completed: {
    schema: t.Boolean({ description: "Whether it is done" }),
    sql: "boolean",
    initially: false,
  },
} satisfies Record<string, Member>

type Members = typeof members
type Name = keyof Members
/** What a user writes into a todo. */
export type Content = { [N in Name]: Static<Members[N]["schema"]> }

const entries = Object.entries(members) as [Name, Member][]
const names = entries.map(([name]) => name)

/** A list in SQL, in the order of the table. */
const list = (write: (name: Name, member: Member, index: number) => string) =>
  entries.map(([name, member], index) => write(name, member, index)).join(", ")

const mapped = <Shape>(map: (member: Member) => TSchema) =>
  Object.fromEntries(entries.map(([name, member]) => [name, map(member)])) as Shape

const all = mapped<{ [N in Name]: Members[N]["schema"] }>(({ schema }) => schema)
const ofNew = mapped<{
  [N in Name]: Members[N] extends { initially: Value }
    ? TOptional<Members[N]["schema"]>
    : Members[N]["schema"]
}>(({ schema, initially }) => (initially === undefined ? schema : t.Optional(schema)))

const MOST = Number.MAX_SAFE_INTEGER
const ignoredText = t.Optional(Text({ maxLength: 40 }))
/**
 * Accepted in bodies and ignored, so that clients may send back what they got. Short, because they are
 * hashed with the rest. Not documented: whoever writes a todo need not know of them.
 */
const readOnly = {
  id: t.Optional(Type.Integer({ minimum: -MOST, maximum: MOST })),
  created_at: ignoredText,
  updated_at: ignoredText,
}
const undocumented = Object.keys(readOnly)

const timestamps = {
  created_at: instant({ description: "When it was created" }),
  updated_at: instant({ description: "When it last changed" }),
}
const deleted_at = instant({ description: "When it was deleted" })

/** The todo of the README's tour and of all examples. */
const milk = {
  id: 1,
  title: "Buy milk",
  description: null,
  is_completed: false,
  created_at: "2026-11-22T16:40:03.214Z",
  updated_at: "2026-11-22T16:40:03.214Z",
}

/** Responses are not checked by it: lists are texts that Postgres makes, and one todo is of the same columns. */
export const todo = t.NoValidate(
  shape("Todo", { id, ...all, ...timestamps }, { description: "The todo", examples: [milk] }),
)
export type Todo = Static<typeof todo>

export const deletedTodo = shape(
  "DeletedTodo",
  { ...todo.properties, deleted_at },
  {
    description: "A deleted todo, as it was",
    examples: [{ ...milk, deleted_at: "2026-11-23T08:02:11.509Z" }],
  },
)

/** What is remembered of a deleted todo. Without content it cannot be restored. */
export const tombstone = shape(
  "Tombstone",
  {
    id,
    revision: id,
    ...mapped<{ [N in Name]: TSchema }>(({ schema }) => nullable(schema)),
    created_at: nullable(timestamps.created_at),
    updated_at: nullable(timestamps.updated_at),
    deleted_at,
  },
  {
    description:
      "A deleted todo that is remembered, with its content as long as it can be restored",
  },
)

export const newTodo = t.Object(
  { ...ofNew, ...readOnly },
  { $id: "NewTodo", examples: [{ title: milk.title }], undocumented, additionalProperties: false },
)
export type NewTodo = Static<typeof newTodo>

export const todoChanges = t.Object(
  { ...t.Partial(t.Object(all)).properties, ...readOnly },
  {
    $id: "TodoChanges",
    examples: [{ is_completed: true }],
    undocumented,
    additionalProperties: false,
  },
)
export type TodoChanges = Static<typeof todoChanges>

/** The columns, of a row where it has to be said. */
export const columns = (row?: string) => list((name) => (row ? `${row}.${name}` : name))
/** For `jsonb_to_recordset`. */
export const record = list((name, { sql }) => `${name} ${sql}`)
/** For `update`: no content. */
export const cleared = `${list((name) => `${name} = null`)}, created_at = null, updated_at = null`
/** For `update`, with the values of another row. */
export const assignments = (row: string) => list((name) => `${name} = ${row}.${name}`)

/** The placeholders of a new todo, from `$first` on, and their values. */
export const placeholders = (first: number) =>
  list((_, { sql }, index) => `$${first + index}::${sql}`)

/** A new todo with all its members. */
export const contentOf = (body: NewTodo) =>
  Object.fromEntries(
    entries.map(([name, { initially }]) => [name, body[name] ?? initially]),
  ) as Content
export const createdValues = (body: NewTodo): Value[] => Object.values(contentOf(body))

/** What changes make of a row, as columns: two placeholders for each member, whether it is given and what. */
export const merged = (first: number, row: string) =>
  list((name, { sql }, index) => {
    const at = first + 2 * index
    return `case when $${at}::boolean then $${at + 1}::${sql} else ${row}.${name} end as ${name}`
  })
export const mergedValues = (changes: TodoChanges): Value[] =>
  names.flatMap((name) => [changes[name] !== undefined, changes[name] ?? null])

/** The todo with the changes. The same object if nothing changes. */
export const merge = <Row extends Content>(row: Row, changes: TodoChanges): Row => {
  const changed = names.filter((name) => changes[name] !== undefined && changes[name] !== row[name])
  return changed.length === 0
    ? row
    : { ...row, ...Object.fromEntries(changed.map((name) => [name, changes[name]])) }
}

/** An instant in full, whatever the role's time zone is. */
export const instantText = (column: string) =>
  `to_char(${column} at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS.US"+00"')`

/** As `JSON.stringify` writes a Date. A distributed Postgres refuses it in RETURNING: it is STABLE. */
const instantJson = (column: string) =>
  `to_char(${column} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`

/**
 * The JSON of a todo as an expression of SQL, byte for byte what `JSON.stringify` writes. Concatenated,
 * because `row_to_json` takes twice as long.
 */
export const todoJson = (row: string, instants = ["created_at", "updated_at"]) => {
  const member = (name: Name, { sql, initially }: Member) => {
    const column = `${row}.${name}`
    const json = sql === "text" ? `to_json(${column})` : column
    return `',"${name}":' || ${initially === null ? `coalesce(${json}::text, 'null')` : json}`
  }
  const content = entries.map(([name, definition]) => member(name, definition))
  const times = instants.map((name) => `',"${name}":"' || ${instantJson(`${row}.${name}`)} || '"'`)
  return `('{"id":' || ${row}.id || ${[...content, ...times].join(" || ")} || '}')`
}
