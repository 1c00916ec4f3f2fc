/** The shape of a password change. */
import { type Static, t } from "elysia"
import { Text } from "../http/schema.ts"
import { ada, password } from "./schemas.ts"

export const passwordChange = t.Object(
  { current_password: Text({ format: "password" }), new_password: password },
  {
    $id: "PasswordChange",
    examples: [{ current_password: ada.password, new_password: "tractor beige lagoon fiddle" }],
    additionalProperties: false,
  },
)
export type PasswordChange = Static<typeof passwordChange>
