/** The shapes of personal access tokens. */
import { type Static, t } from "elysia"
import { SCOPES } from "../../http/guard.ts"
import { NullableText, Text } from "../../http/schema.ts"

const name = Text({
  description: "For people: what uses the token",
  examples: ["backup script"],
  minLength: 1,
  maxLength: 100,
  pattern: "[^\\s\\x85]",
  patternMessage: "must not be only white space",
})

const [read, write] = SCOPES
const scope = t.Union([t.Literal(read), t.Literal(write)], {
  $id: "Scope",
  description: "`todos:read` allows reading todos, `todos:write` allows changing and reading them",
})
const scopes = t.Array(scope, {
  description: "What the token allows",
  minItems: 1,
  maxItems: SCOPES.length,
  uniqueItems: true,
})

/** RFC 3339, section 5.6. The route checks that such a time exists and is in the future. */
const expiresAt = NullableText({
  description: "In the future. Without it, or with null, the token does not expire",
  examples: ["2099-12-31T23:59:59Z"],
  pattern: "^\\d{4}-\\d\\d-\\d\\d[Tt]\\d\\d:\\d\\d:\\d\\d(\\.\\d{1,9})?([Zz]|[+-]\\d\\d:\\d\\d)$",
  patternMessage: "must be a time as in RFC 3339, such as 2099-12-31T23:59:59Z",
})

export const newPersonalToken = t.Object(
  { name, scopes, expires_at: t.Optional(expiresAt) },
  {
    $id: "NewPersonalToken",
    examples: [{ name: "backup script", scopes: ["todos:read"] }],
    additionalProperties: false,
  },
)
export type NewPersonalToken = Static<typeof newPersonalToken>

const instant = (description: string) => t.String({ format: "date-time", description })
const nullableInstant = (description: string) =>
  t.Union([t.String({ format: "date-time" }), t.Null()], { description })

const members = {
  id: t.String({ format: "uuid" }),
  name,
  scopes,
  created_at: instant("When it was created"),
  expires_at: nullableInstant("When it expires. Null if never"),
  last_used_at: nullableInstant("When it was last used, to the minute. Null if never"),
}

export const personalToken = t.Object(members, {
  $id: "PersonalToken",
  description: "A personal access token, without the token itself",
  additionalProperties: false,
})
export type PersonalToken = Static<typeof personalToken>

export const createdPersonalToken = t.Object(
  {
    ...members,
    token: t.String({
      description: "For the Authorization header. It is shown only once.",
      examples: ["todo_7HxgMLz_z4B0VW50ZcHlsnGeOBMTQRJbfwPPKPEC-FI"],
    }),
  },
  {
    $id: "CreatedPersonalToken",
    description: "A new personal access token",
    additionalProperties: false,
  },
)
