/** The shapes of accounts and tokens, as clients send and get them. */
import { Type } from "@sinclair/typebox"
import { type Static, t } from "elysia"
import { id } from "../http/id.ts"
import { Text } from "../http/text.ts"

/** No white space, and nothing that is not seen: control, format and other ignorable characters. */
const part = "[^\\s@\\p{Cc}\\p{Cf}\\p{DI}]+"

export const email = Text({
  description: "Trimmed, and compared without case; without characters that are not seen",
  examples: ["ada@example.org"],
  minLength: 3,
  maxLength: 254,
  pattern: `^${part}@${part}$`,
  patternMessage: "must be an email address",
  trimmed: true,
})
const examples = ["correct horse battery staple"]
export const password = Text({ format: "password", examples, minLength: 8, maxLength: 256 })

export const registration = t.Object(
  {
    email,
    password,
    invite: t.Optional(
      Text({
        description: "Where registration is by invite: a token that the operator made. Good once.",
      }),
    ),
  },
  { $id: "Registration", additionalProperties: false },
)
export type Registration = Static<typeof registration>

/** Looser than a registration: what could never have been registered is simply wrong. */
export const credentials = t.Object(
  {
    email: Text({ examples: ["ada@example.org"] }),
    password: Text({ format: "password", examples }),
  },
  { $id: "Credentials", additionalProperties: false },
)
export type Credentials = Static<typeof credentials>

export const refreshToken = t.Object(
  { refresh_token: Text({ description: "The one of the last answer" }) },
  { $id: "RefreshToken", additionalProperties: false },
)

export const passwordChange = t.Object(
  { current_password: Text({ format: "password" }), new_password: password },
  { $id: "PasswordChange", additionalProperties: false },
)
export type PasswordChange = Static<typeof passwordChange>

export const user = t.Object(
  {
    id,
    email: t.Union([t.String(), t.Null()], {
      description: "Null for a user who came from outside",
    }),
    created_at: t.String({ format: "date-time" }),
  },
  { $id: "User", description: "The account", additionalProperties: false },
)
export type User = Static<typeof user>

export const tokens = t.Object(
  {
    access_token: t.String({ description: "A JWT for the Authorization header" }),
    token_type: t.Literal("bearer"),
    expires_in: Type.Integer({ description: "Seconds until the access token expires" }),
    refresh_token: t.String({ description: "Opaque and single-use" }),
  },
  { $id: "Tokens", description: "The tokens of a session", additionalProperties: false },
)
