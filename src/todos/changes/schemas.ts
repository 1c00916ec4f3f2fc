/** The shapes of changes: the query, the response, and the stream of events. */
import { type Static, t } from "elysia"
import { id, nullable, shape, Text } from "../../http/schema.ts"
import { limitParameter } from "../lists/parameters.ts"
import { todo } from "../members.ts"

const DEFAULT_LIMIT = 500

export const changesQuery = t.Object(
  {
    since: t.Optional(
      Text({
        description: "Opaque: the `next` of an earlier response. Without it all todos are listed",
      }),
    ),
    limit: t.Optional(limitParameter(`How many changes at most. Default: ${DEFAULT_LIMIT}`)),
  },
  { additionalProperties: false },
)
type ChangesQuery = Static<typeof changesQuery>

export const readChangesQuery = ({ since, limit }: ChangesQuery) => ({
  since,
  limit: limit === undefined ? DEFAULT_LIMIT : Number(limit),
})

const change = shape(
  "Change",
  {
    id,
    etag: nullable(t.String({ description: "Its entity tag" })),
    todo: nullable(todo, { description: "The todo as it is now. Null if it was deleted" }),
  },
  { description: "A todo that has changed" },
)

export const changesPage = shape(
  "ChangesPage",
  {
    changes: t.Array(change),
    next: t.String({ description: "The `since` of the next request" }),
    has_more: t.Boolean({ description: "Whether there are more changes to fetch at once" }),
  },
  { description: "A page of changes" },
)

export const eventsBody = t.String({
  contentType: "text/event-stream",
  description: "Server-sent events of the HTML standard",
  examples: ['event: state\nid: WyJh.b2Nh\ndata: {"state":"WyJh.b2Nh"}\n\n'],
})
