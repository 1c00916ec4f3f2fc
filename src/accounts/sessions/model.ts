/** The shapes of sessions, as their user sees them. */
import { t } from "elysia"

export const session = t.Object(
  {
    id: t.String({ format: "uuid" }),
    created_at: t.String({ format: "date-time", description: "When the user logged in" }),
    last_used_at: t.String({
      format: "date-time",
      description: "When it was last used, to the minute",
    }),
    user_agent: t.Union([t.String(), t.Null()], {
      description: "The User-Agent of its login or last refresh. Null if none was sent",
    }),
    address: t.Union([t.String(), t.Null()], {
      description:
        "From where it was logged in or last refreshed: an IPv4 address, or the first 64 bits " +
        "of an IPv6 address. Null where that was before addresses were kept",
    }),
    is_current: t.Boolean({
      description: "Whether the access token of this request belongs to it",
    }),
  },
  {
    $id: "Session",
    description: "A session: a login and its refreshes",
    additionalProperties: false,
  },
)

export const sessions = t.Array(session, { description: "The latest used first" })

const SESSION_ID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
/** Checked before the database would refuse the text. */
export const isSessionId = (text: string) => SESSION_ID.test(text)

export const sessionParams = t.Object({
  id: t.String({ description: "The session's id", encodes: { type: "string", format: "uuid" } }),
})
