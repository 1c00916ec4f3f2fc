/** The errors of accounts, each with the header that its status requires. */
import { Problem } from "../http/problem.ts"

const unauthorized = (detail: string, challenge: string) =>
  new Problem("UNAUTHORIZED", detail, { headers: { "www-authenticate": challenge } })

export const missingToken = () => unauthorized("A bearer token is required", "Bearer")

/** RFC 6750, section 3.1. The description is always our own text, never the client's. */
export const invalidToken = (description: string) =>
  unauthorized(description, `Bearer error="invalid_token", error_description="${description}"`)

export const revokedToken = () => invalidToken("The token has been revoked")
/** Not final: the operator may enable the user again. */
export const disabledUser = () => invalidToken("The user is disabled")
/** Final, and another description: a client may delete its replica then. */
export const deletedUser = () => invalidToken("The account was deleted")

export const emailTaken = () => new Problem("EMAIL_TAKEN", "This email is registered already")

export const registrationClosed = () =>
  new Problem("REGISTRATION_CLOSED", "Registration is closed, or takes a valid invite")

const wrong = (detail: string) =>
  new Problem("INVALID_CREDENTIALS", detail, { headers: { "www-authenticate": "Bearer" } })

export const wrongCredentials = () => wrong("Email or password is wrong")
export const wrongResetToken = () => wrong("The token is wrong, used or expired")

export const wrongRefreshToken = () =>
  unauthorized("The refresh token is unknown, used or expired", "Bearer")

export const wrongCurrentPassword = () =>
  new Problem("INVALID_CREDENTIALS", "The current password is wrong", { status: 403 })
