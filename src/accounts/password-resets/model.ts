/** The shapes of password resets. */
import { type Static, t } from "elysia"
import { Text } from "../../http/schema.ts"
import { password } from "../schemas.ts"

export const passwordReset = t.Object(
  {
    token: Text({
      description: "From the mail or from the operator. Can be used once, within an hour.",
    }),
    new_password: password,
  },
  { $id: "PasswordReset", additionalProperties: false },
)
export type PasswordReset = Static<typeof passwordReset>

/** As loose as a login: an email that nobody could have registered has no account. */
export const resetRequest = t.Object(
  { email: Text({ examples: ["ada@example.org"], minLength: 3, maxLength: 254, trimmed: true }) },
  { $id: "PasswordResetRequest", additionalProperties: false },
)
