/** What an error says to people. */
import { ApiError } from "todo-api/client"

export const messageOf = (error: unknown): string => {
  if (!(error instanceof ApiError)) return String(error)
  if (error.error_code === "BAD_REQUEST")
    return error.errors
      .map(({ pointer, message }) => `${pointer?.slice(1) || "It"} ${message}`)
      .join(", ")
  if (error.error_code === "NETWORK_ERROR") return "The service cannot be reached"
  if (error.error_code === "INVALID_CREDENTIALS") return "The email or the password is wrong"
  if (error.error_code === "EMAIL_TAKEN") return "There is an account with this email already"
  return error.detail
}
