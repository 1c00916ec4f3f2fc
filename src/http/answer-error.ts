/** From whatever was thrown to the problem document that a client gets. The cause is logged. */
import { ValidationError } from "elysia"
import type { Logger } from "pino"
import { isAway } from "../database/errors.ts"
import { Problem, unavailable } from "../errors.ts"
import { type Route, unrouted } from "./methods.ts"
import { validationProblem } from "./validation.ts"

const toProblem = (error: unknown): Problem | undefined => {
  if (error instanceof Problem) return error
  if (error instanceof ValidationError) return validationProblem(error)
  if (isAway(error)) return unavailable("The database is away; try again")
  return undefined
}

type Failure = { error: unknown; code: unknown; request: Request }

export const answerError =
  (log: Logger, routes: () => Route[]) =>
  ({ error, code, request }: Failure): Response => {
    try {
      if (code === "NOT_FOUND") return unrouted(request, routes())
      const problem = toProblem(error)
      if (problem) return problem.toResponse()
      log.error({ err: error }, "unexpected error")
    } catch (thrown) {
      if (thrown instanceof Problem) return thrown.toResponse()
    }
    return new Problem("INTERNAL_ERROR", "Something went wrong on our side").toResponse()
  }
