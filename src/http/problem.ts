/** Every error that a client can get: the one list of codes, and the problem document. */
import { InvertedStatusMap } from "elysia"

/** The status of each code, and for people what it means. */
export const errors = {
  BAD_REQUEST: [400, "The body or the query is invalid; `errors` lists why"],
  UNAUTHORIZED: [401, "The token is missing, invalid, expired or revoked"],
  INVALID_CREDENTIALS: [401, "The email, the password or the token of a reset is wrong"],
  INSUFFICIENT_SCOPE: [403, "A personal access token may not do this, or lacks the scope"],
  REGISTRATION_CLOSED: [403, "Registration is closed, or the invite is not valid"],
  QUOTA_EXCEEDED: [403, "The user has as many todos as the service allows"],
  NOT_FOUND: [404, "Nothing is at this path, or nothing that the caller owns"],
  TODO_NOT_FOUND: [404, "Todo not found or not owned by the caller"],
  METHOD_NOT_ALLOWED: [405, "The path does not support the method; `Allow` lists those it does"],
  EMAIL_TAKEN: [409, "The email is already registered"],
  BATCH_ROLLED_BACK: [409, "An operation was refused, so all were undone; see `results`"],
  CHANGES_EXPIRED: [410, "Changes since then are not known any more; start without `since`"],
  PRECONDITION_FAILED: [412, "The todo has another version than If-Match names; `ETag` has it"],
  PAYLOAD_TOO_LARGE: [413, "The body is over 64 KiB, or over 1 MiB for a batch"],
  UNSUPPORTED_MEDIA_TYPE: [415, "The type, charset or encoding of the body is not supported"],
  IDEMPOTENCY_KEY_REUSED: [422, "The Idempotency-Key was already used with another body"],
  TOO_MANY_REQUESTS: [429, "Too many requests or attempts; retry after `Retry-After` seconds"],
  INTERNAL_ERROR: [500, "Unexpected error; the operator finds it in the log"],
  SERVICE_UNAVAILABLE: [503, "The database is unreachable, or the service is stopping"],
} as const

export type ErrorCode = keyof typeof errors
export const errorCodes = Object.keys(errors) as ErrorCode[]
/** 424 is for the operations of a batch that were undone with the others. */
type Status = (typeof errors)[ErrorCode][0] | 424

/** The title of 422 is older than RFC 9110's: clients may have it in their tests. */
const titles = { ...InvertedStatusMap, 422: "Unprocessable Entity" }

/** One broken rule of a body (`pointer`: RFC 6901) or of a query (`parameter`). */
export type BrokenRule = { message: string } & ({ pointer: string } | { parameter: string })

type Extra = {
  errors?: BrokenRule[]
  /** Of a batch that was undone: the result of each operation. */
  results?: object[]
  headers?: Record<string, string>
  /** In place of the status of the code: a wrong current password is a 403. */
  status?: Status
}

/**
 * Thrown for an error that the client is to see. It is not an `Error`: an expected refusal needs no
 * stack, and making one costs more than all the rest of the refusal.
 */
export class Problem {
  readonly status: Status

  constructor(
    readonly code: ErrorCode,
    readonly detail: string,
    private readonly extra: Extra = {},
  ) {
    this.status = extra.status ?? errors[code][0]
  }

  /** The problem document of RFC 9457, with the additional members `error_code` and `timestamp`. */
  toDocument() {
    return {
      type: "about:blank",
      title: titles[this.status],
      status: this.status,
      detail: this.detail,
      error_code: this.code,
      timestamp: new Date().toISOString(),
      errors: this.extra.errors,
      results: this.extra.results,
    }
  }

  toResponse(): Response {
    return new Response(JSON.stringify(this.toDocument()), {
      status: this.status,
      headers: { "content-type": "application/problem+json", ...this.extra.headers },
    })
  }
}

export const badRequest = (errors: BrokenRule[]) =>
  new Problem("BAD_REQUEST", "The request breaks rules of this API; see errors", { errors })

/** `seconds`: after which to try again (RFC 9110, section 10.2.3). */
const retryLater =
  (code: ErrorCode) =>
  (detail: string, seconds = 1) =>
    new Problem(code, detail, { headers: { "retry-after": String(seconds) } })
export const unavailable = retryLater("SERVICE_UNAVAILABLE")
export const tooManyRequests = retryLater("TOO_MANY_REQUESTS")
