/** The shapes of a todo, as clients send and get it. */
import { type Static, t } from "elysia"
import { NullableText, Text } from "../http/schema.ts"
import { id } from "../http/schema-id.ts"

const title = Text({
  description: "Not only white space",
  examples: ["Buy milk"],
  minLength: 1,
  maxLength: 254,
  pattern: "[^\\s\\x85]",
  patternMessage: "must not be only white space",
})
const description = NullableText({ examples: ["Two litres, and oats"], maxLength: 999 })
const isCompleted = t.Boolean({ description: "Whether it is done" })

const instant = (description: string) => t.String({ format: "date-time", description })
const createdAt = instant("When it was created")
const updatedAt = instant("When it last changed")

/** Accepted and ignored, so that clients may send back what they got. */
const readOnly = {
  id: t.Optional(t.Unknown({ readOnly: true, encodes: id })),
  created_at: t.Optional(t.Unknown({ readOnly: true, encodes: createdAt })),
  updated_at: t.Optional(t.Unknown({ readOnly: true, encodes: updatedAt })),
}

/** The todo of the README's tour and of all examples. */
const milk = {
  id: 1,
  title: "Buy milk",
  description: null,
  is_completed: false,
  created_at: "2026-11-22T16:40:03.214Z",
  updated_at: "2026-11-22T16:40:03.214Z",
}

export const todo = t.Object(
  {
    id,
    title,
    description,
    is_completed: isCompleted,
    created_at: createdAt,
    updated_at: updatedAt,
  },
  { $id: "Todo", description: "The todo", examples: [milk], additionalProperties: false },
)
export type Todo = Static<typeof todo>

export const newTodo = t.Object(
  {
    title,
    description: t.Optional(description),
    is_completed: t.Optional(isCompleted),
    ...readOnly,
  },
  { $id: "NewTodo", examples: [{ title: milk.title }], additionalProperties: false },
)
export type NewTodo = Static<typeof newTodo>

export const todoChanges = t.Object(
  {
    title: t.Optional(title),
    description: t.Optional(description),
    is_completed: t.Optional(isCompleted),
    ...readOnly,
  },
  { $id: "TodoChanges", examples: [{ is_completed: true }], additionalProperties: false },
)
export type TodoChanges = Static<typeof todoChanges>
