/** The query of GET /todos: its parameters, and what they select. */
import { type Static, t } from "elysia"
import { Parameter, Text } from "../../http/schema.ts"

export const PAGE_LIMIT = 1_000

/** Rows. A page of this size takes a fraction of a millisecond; a longer one is slow work. */
export const SHORT_PAGE = 100

export const limitParameter = (description: string) =>
  Parameter({
    type: "integer",
    description,
    minimum: 1,
    maximum: PAGE_LIMIT,
    pattern: "^([1-9]\\d{0,2}|1000)$",
    patternMessage: `must be a whole number from 1 to ${PAGE_LIMIT}`,
  })

const flagParameter = (description: string) =>
  Parameter({
    type: "boolean",
    description,
    pattern: "^(true|false)$",
    patternMessage: "must be true or false",
  })

const sorts = ["created_at", "-created_at", "updated_at", "-updated_at", "title", "-title"] as const
export type Sort = (typeof sorts)[number]

export const listQuery = t.Object(
  {
    limit: t.Optional(
      limitParameter("The number of todos on a page. Without it the whole list is streamed"),
    ),
    cursor: t.Optional(
      Text({ description: "Opaque, from the link on the previous page. Needs limit" }),
    ),
    is_completed: t.Optional(flagParameter("Only todos that are done, or that are not")),
    q: t.Optional(
      Text({
        description: "Only todos whose title or description contains this, ignoring case",
        minLength: 1,
        maxLength: 100,
      }),
    ),
    sort: t.Optional(
      Parameter<Sort>({
        type: "string",
        description:
          "Ascending, or with a minus descending; titles by code point. Default: created_at",
        enum: [...sorts],
        pattern: `^(${sorts.join("|")})$`,
        patternMessage: `must be one of ${sorts.join(", ")}`,
      }),
    ),
    count: t.Optional(flagParameter("Whether to say in X-Total-Count how many todos match")),
  },
  { additionalProperties: false },
)
export type ListQuery = Static<typeof listQuery>

/** Which todos in which order. Cursors are bound to it. */
export type Selection = { sort: Sort; isCompleted: boolean | undefined; q: string | undefined }

/** What a cursor is bound to. */
export const listOf = ({ sort, isCompleted, q }: Selection) => [
  sort,
  isCompleted ?? null,
  q ?? null,
]

/** All todos in the order of the default. */
export const EVERYTHING: Selection = { sort: "created_at", isCompleted: undefined, q: undefined }

export const selectionOf = ({ is_completed, q, sort = "created_at" }: ListQuery): Selection => ({
  sort,
  isCompleted: is_completed === undefined ? undefined : is_completed === "true",
  q,
})
