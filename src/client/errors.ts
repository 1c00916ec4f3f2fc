/** The errors of the client: one class. Its `error_code` says which other members are defined. */
import type { BrokenRule, Schemas } from "./calls.ts"

/** The codes that a schema lists. Never if its code is any string. */
type CodesOf<Schema> = Schema extends { error_code: infer Code }
  ? string extends Code
    ? never
    : Code
  : never
type ProblemCode = CodesOf<Schemas[keyof Schemas]>
type Common = Omit<Schemas["UnauthorizedProblem"], "error_code">
type RolledBack = Schemas["BatchRolledBackProblem"]

/** The problem document (RFC 9457) of one error. */
export interface ProblemOf<Code extends ProblemCode> extends Common {
  /** What is wrong, for programs. */
  error_code: Code
  /** The broken rules, 20 at most. Of BAD_REQUEST only. */
  errors?: Code extends "BAD_REQUEST" ? BrokenRule[] : never
  /** What became of each operation. Of BATCH_ROLLED_BACK only. */
  results?: Code extends "BATCH_ROLLED_BACK" ? NonNullable<RolledBack["results"]> : never
}
/** The problem document (RFC 9457) that the service sends for every error. */
export type Problem = { [Code in ProblemCode]: ProblemOf<Code> }[ProblemCode]

/**
 * The codes of the service, and five of the client: there was no answer, the answer was not from
 * the service, the queue of edits is full, the storage failed, or edits are not sent yet.
 */
export type ErrorCode =
  | ProblemCode
  | "NETWORK_ERROR"
  | "UNEXPECTED_ANSWER"
  | "QUEUE_FULL"
  | "STORAGE_FAILED"
  | "EDITS_PENDING"

export type Failure = {
  error_code: ErrorCode
  /** The HTTP status. 0 if there is none, or if an answer that should be JSON is not. */
  status: number
  detail: string
  errors?: BrokenRule[] | undefined
  pending?: number | undefined
}

class ApiErrorOf<Code extends ErrorCode> extends Error {
  override readonly name = "ApiError"
  /** What is wrong, for programs. */
  declare readonly error_code: Code
  /** The HTTP status. 0 if there is none. */
  declare readonly status: number
  /** What is wrong, for people. */
  declare readonly detail: string
  /** The broken rules, 20 at most. Of BAD_REQUEST only. */
  declare readonly errors: Code extends "BAD_REQUEST" ? BrokenRule[] : undefined
  /** How many edits are not sent yet. Of EDITS_PENDING only. */
  declare readonly pending: Code extends "EDITS_PENDING" ? number : undefined
  /** The seconds of the header Retry-After, if there is one. */
  declare readonly retry_after: number | undefined

  constructor(failure: Failure & { error_code: Code }, retry_after?: number, cause?: unknown) {
    const { error_code, status, detail, errors = [], pending } = failure
    super(`${error_code}: ${detail}`, { cause })
    const more = { errors: error_code === "BAD_REQUEST" ? errors : undefined, pending, retry_after }
    Object.assign(this, { error_code, status, detail, ...more })
  }
}

/** What calls reject with. To compare its `error_code` narrows its other members. */
export type ApiError = { [Code in ErrorCode]: ApiErrorOf<Code> }[ErrorCode]
interface ApiErrorConstructor {
  new (failure: Failure, retryAfter?: number, cause?: unknown): ApiError
  readonly prototype: ApiError
}
export const ApiError = ApiErrorOf as unknown as ApiErrorConstructor

export const hasCode = <Code extends ErrorCode>(
  error: unknown,
  code: Code,
): error is ApiErrorOf<Code> => error instanceof ApiError && error.error_code === code

export const isUnauthorized = (error: unknown) => hasCode(error, "UNAUTHORIZED")
/** The service says so of every token of a user who is gone. */
export const isAccountDeleted = (error: unknown) =>
  isUnauthorized(error) && (error as ApiError).detail === "The account was deleted"

/** Whether it is unknown what became of the request: nobody knows whether it was executed. */
export const isUnanswered = (error: unknown) =>
  hasCode(error, "NETWORK_ERROR") || hasCode(error, "UNEXPECTED_ANSWER")

/** An error of the client itself. */
export const failed = (
  error_code: ErrorCode,
  detail: string,
  status = 0,
  cause?: unknown,
  retryAfter?: number,
) => new ApiError({ error_code, status, detail }, retryAfter, cause)

export const notLoggedIn = () => failed("UNAUTHORIZED", "Nobody is logged in", 401)

export const noSuchTodo = () => failed("TODO_NOT_FOUND", "There is no such todo here", 404)

/** A proxy or a captive portal has answered in place of the service. */
export const unexpected = (status = 0, cause?: unknown, retryAfter?: number) =>
  failed("UNEXPECTED_ANSWER", `Not an answer of the service: ${status}`, status, cause, retryAfter)

/** Throws. */
export const storageFailed = (cause: unknown): never => {
  throw cause instanceof ApiError
    ? cause
    : failed("STORAGE_FAILED", `The storage failed: ${cause}`, 0, cause)
}
