/** Refuses new passwords that an attacker would try first. */
import { badRequest } from "../http/problem.ts"

/** Throws a 400 with the pointer to the password. `email`: null for a user who has none. */
export const refuseGuessable = async (
  pointer: "/password" | "/new_password",
  password: string,
  email: string | null,
) => {
  const guess = password.trim().toLowerCase()
  if (guess === email?.trim().toLowerCase())
    throw badRequest([{ pointer, message: "must not be the email of the account" }])
  const { isCommon } = await import("./passwords-common.ts")
  if (guess === "" || isCommon(guess))
    throw badRequest([{ pointer, message: "is one of the most common passwords" }])
}
