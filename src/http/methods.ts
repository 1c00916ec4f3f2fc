/** Moved: error-handler.ts refuses methods. */
import { Problem } from "./problem.ts"

export const methodNotAllowed = (allow: string) =>
  new Problem("METHOD_NOT_ALLOWED", `This path takes ${allow}`, { headers: { allow } })
