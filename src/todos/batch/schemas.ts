/** The shapes of a batch: its operations and their results. */
import { Type } from "@sinclair/typebox"
import { type Static, t } from "elysia"
import { id, instant, shape, Text } from "../../http/schema.ts"
import { newTodo, todo, todoChanges } from "../members.ts"

/** Bytes. Enough for a hundred of the longest creates with their keys, even if every character is escaped. */
export const BATCH_BODY_LIMIT = 1024 * 1024
const MOST_OPERATIONS = 100

const ifMatch = t.Optional(
  Text({ description: "Like the header If-Match: entity tags, or `*`", examples: ['"1"'] }),
)

const key = (description: string) =>
  t.Optional(
    Text({
      description,
      minLength: 1,
      maxLength: 255,
      pattern: "^[!-~]+$",
      patternMessage: "must be visible ASCII characters",
    }),
  )

const create = shape("CreateOperation", {
  op: t.Literal("create"),
  todo: newTodo,
  key: key("Like the header Idempotency-Key, and remembered together with those"),
})

const update = shape("UpdateOperation", {
  op: t.Literal("update"),
  id,
  todo: todoChanges,
  key: key(
    "Makes a repeat safe, even if the todo has changed since: the update is not made again. The result is the todo as it is now, and `if_match` is ignored",
  ),
  if_match: ifMatch,
})

const remove = shape("DeleteOperation", { op: t.Literal("delete"), id, if_match: ifMatch })

const restore = shape("RestoreOperation", { op: t.Literal("restore"), id })

const operation = t.Union([create, update, remove, restore], {
  $id: "Operation",
  description: "A create, an update, a delete or a restore, as `op` says",
})

/** An HTTP status. */
const status = Type.Integer({ minimum: 200, maximum: 599 })

export const batch = shape(
  "Batch",
  {
    operations: t.Array(operation, { minItems: 1, maxItems: MOST_OPERATIONS }),
    atomic: t.Optional(t.Boolean({ description: "Whether one refusal undoes all" })),
  },
  {
    examples: [
      {
        operations: [
          { op: "create", todo: { title: "Buy oats" } },
          { op: "update", id: 1, todo: { is_completed: true } },
        ],
      },
    ],
  },
)
export type Batch = Static<typeof batch>
export type Operation = Batch["operations"][number]
export type CreateOperation = Static<typeof create>
export type UpdateOperation = Static<typeof update>
export type DeleteOperation = Static<typeof remove>
export type KeyedOperation = CreateOperation | UpdateOperation

const problem = shape(
  "OperationProblem",
  {
    type: t.String(),
    title: t.String(),
    status,
    detail: t.String({ description: "What is wrong, for people" }),
    error_code: t.String({ description: "What is wrong, for programs" }),
    timestamp: instant(),
  },
  {
    description: "The error that the single request would have had",
  },
)

const batchResult = shape(
  "BatchResult",
  {
    status,
    etag: t.Optional(t.String({ description: "The entity tag of `todo`" })),
    todo: t.Optional(todo),
    replayed: t.Optional(
      t.Boolean({ description: "Whether an earlier operation with the same key was done instead" }),
    ),
    error: t.Optional(problem),
  },
  {
    examples: [{ status: 201, etag: '"1"', todo: todo["examples"]?.[0] }],
    description: "The result of an operation. With a 412, `todo` is the current one",
  },
)
export type BatchResult = Static<typeof batchResult>

export const batchResults = t.NoValidate(
  shape(
    "BatchResults",
    { results: t.Array(batchResult) },
    {
      description: "The results, in the order of the operations",
    },
  ),
)
