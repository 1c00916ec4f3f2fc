/** Every error that a client can see: the closed list of codes, their statuses, the problem document. */
import { STATUS_CODES } from "node:http"

export const statuses = {
  BAD_REQUEST: 400,
  UNAUTHORIZED: 401,
  INVALID_CREDENTIALS: 401,
  NOT_FOUND: 404,
  TODO_NOT_FOUND: 404,
  METHOD_NOT_ALLOWED: 405,
  EMAIL_TAKEN: 409,
  PRECONDITION_FAILED: 412,
  PAYLOAD_TOO_LARGE: 413,
  UNSUPPORTED_MEDIA_TYPE: 415,
  IDEMPOTENCY_KEY_REUSED: 422,
  TOO_MANY_REQUESTS: 429,
  INTERNAL_ERROR: 500,
  SERVICE_UNAVAILABLE: 503,
} as const

export type ErrorCode = keyof typeof statuses

/** One broken rule of a body (`pointer`: RFC 6901) or of a query (`parameter`). */
export type BrokenRule = { message: string } & ({ pointer: string } | { parameter: string })

type Extra = {
  errors?: BrokenRule[]
  headers?: Record<string, string>
  /** Where the map's status does not fit: a wrong current password is a 403. */
  status?: number
}

/**
 * What a handler throws to end in an error that is meant for the client. Not an `Error`: an
 * expected refusal needs no stack, and taking one costs more than the refusal itself.
 */
export class Problem {
  readonly status: number

  constructor(
    readonly code: ErrorCode,
    readonly detail: string,
    private readonly extra: Extra = {},
  ) {
    this.status = extra.status ?? statuses[code]
  }

  /** The problem document: RFC 9457, with `error_code` and `timestamp` beside its members. */
  toResponse(): Response {
    const document = {
      type: "about:blank",
      title: STATUS_CODES[this.status],
      status: this.status,
      detail: this.detail,
      error_code: this.code,
      timestamp: new Date().toISOString(),
      ...(this.extra.errors && { errors: this.extra.errors }),
    }
    return new Response(JSON.stringify(document), {
      status: this.status,
      headers: { "content-type": "application/problem+json", ...this.extra.headers },
    })
  }
}

export const badRequest = (errors: BrokenRule[]) =>
  new Problem("BAD_REQUEST", "The request breaks rules of this API; see errors", { errors })

/** RFC 9110, section 10.2.3: the client may try again after this many seconds. */
export const unavailable = (detail: string, retryAfter = 1) =>
  new Problem("SERVICE_UNAVAILABLE", detail, { headers: { "retry-after": String(retryAfter) } })
