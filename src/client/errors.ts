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
 * The codes of the service, and three of the client: there was no answer, the answer was not from
 * the service, or the queue of edits is full.
 */
export type ErrorCode = Problem["error_code"] | "NETWORK_ERROR" | "UNEXPECTED_ANSWER" | "QUEUE_FULL"

export type Failure = {
  error_code: ErrorCode
  /** The HTTP status. 0 if there is none, or if an answer that should be JSON is not. */
  status: number
  detail: string
  errors?: BrokenRule[] | undefined
}

class RequestError<Code extends ErrorCode> extends Error {
  override readonly name = "ApiError"
  readonly error_code: Code
  readonly status: number
  /** What is wrong, for people. */
  readonly detail: string
  /** The broken rules, 20 at most. */
  readonly errors: Code extends "BAD_REQUEST" ? BrokenRule[] : undefined
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
    this.retry_after = retryAfter
  }
}

/** A union over all codes, so that comparing `error_code` narrows the other members. */
export type ApiError = { [Code in ErrorCode]: RequestError<Code> }[ErrorCode]
export const ApiError = RequestError as unknown as {
  new (failure: Failure, retryAfter?: number, cause?: unknown): ApiError
  readonly prototype: ApiError
}

export const isUnauthorized = (error: unknown): error is RequestError<"UNAUTHORIZED"> =>
  error instanceof ApiError && error.error_code === "UNAUTHORIZED"

export const notLoggedIn = () =>
  new ApiError({ error_code: "UNAUTHORIZED", status: 401, detail: "Nobody is logged in" })
