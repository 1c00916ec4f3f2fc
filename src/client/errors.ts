/** The errors of the client: one class. Its `error_code` says which other members are defined. */
import type { components } from "./api.ts"

type Schemas = components["schemas"]
/** A schema that lists its possible codes. Never if its code is any string. */
type Coded<Schema> = Schema extends { error_code: infer Code }
  ? string extends Code
    ? never
    : Schema
  : never
/** The problem document (RFC 9457) that the service sends for every error. */
export type Problem = Coded<Schemas[keyof Schemas]>
export type BrokenRule = Schemas["BrokenRule"]

/**
 * The codes of the service, and five of the client: there was no answer, the answer was not from
 * the service, the queue of edits is full, the storage failed, or edits are not sent yet.
 */
export type ErrorCode =
  | Problem["error_code"]
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

class RequestError<Code extends ErrorCode> extends Error {
  override readonly name = "ApiError"
  readonly error_code: Code
  readonly status: number
  /** What is wrong, for people. */
  readonly detail: string
  /** The broken rules, 20 at most. */
  readonly errors: Code extends "BAD_REQUEST" ? BrokenRule[] : undefined
  /** How many edits are not sent yet. */
  readonly pending: Code extends "EDITS_PENDING" ? number : undefined
  /** The seconds of the header Retry-After, if there is one. */
  readonly retry_after: number | undefined

  constructor(failure: Failure & { error_code: Code }, retryAfter?: number, cause?: unknown) {
    super(`${failure.error_code}: ${failure.detail}`, { cause })
    this.error_code = failure.error_code
    this.status = failure.status
    this.detail = failure.detail
    this.errors = (
      failure.error_code === "BAD_REQUEST" ? (failure.errors ?? []) : undefined
    ) as this["errors"]
    this.pending = failure.pending as this["pending"]
    this.retry_after = retryAfter
  }
}

/** A union over all codes, so that comparing `error_code` narrows the other members. */
export type ApiError = { [Code in ErrorCode]: RequestError<Code> }[ErrorCode]
export const ApiError = RequestError as unknown as {
  new (failure: Failure, retryAfter?: number, cause?: unknown): ApiError
  readonly prototype: ApiError
}

export const hasCode = <Code extends ErrorCode>(
  error: unknown,
  code: Code,
): error is RequestError<Code> => error instanceof ApiError && error.error_code === code

export const isUnauthorized = (error: unknown) => hasCode(error, "UNAUTHORIZED")

/** Whether it is unknown what became of the request: nobody knows whether it was executed. */
export const isUnanswered = (error: unknown) =>
  hasCode(error, "NETWORK_ERROR") || hasCode(error, "UNEXPECTED_ANSWER")

export const notLoggedIn = () =>
  new ApiError({ error_code: "UNAUTHORIZED", status: 401, detail: "Nobody is logged in" })

export const unexpected = (status: number, detail: string, cause?: unknown, retryAfter?: number) =>
  new ApiError({ error_code: "UNEXPECTED_ANSWER", status, detail }, retryAfter, cause)

export const storageFailed = (cause: unknown) =>
  cause instanceof ApiError
    ? cause
    : new ApiError(
        { error_code: "STORAGE_FAILED", status: 0, detail: `The storage failed: ${cause}` },
        undefined,
        cause,
      )
