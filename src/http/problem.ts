/** Every error that a client can get: the list of codes, their statuses, and the problem document. */

export const statuses = {
  BAD_REQUEST: 400,
  UNAUTHORIZED: 401,
  INVALID_CREDENTIALS: 401,
  INSUFFICIENT_SCOPE: 403,
  REGISTRATION_CLOSED: 403,
  QUOTA_EXCEEDED: 403,
  NOT_FOUND: 404,
  TODO_NOT_FOUND: 404,
  METHOD_NOT_ALLOWED: 405,
  EMAIL_TAKEN: 409,
  BATCH_ROLLED_BACK: 409,
  CHANGES_EXPIRED: 410,
  PRECONDITION_FAILED: 412,
  PAYLOAD_TOO_LARGE: 413,
  UNSUPPORTED_MEDIA_TYPE: 415,
  IDEMPOTENCY_KEY_REUSED: 422,
  TOO_MANY_REQUESTS: 429,
  INTERNAL_ERROR: 500,
  SERVICE_UNAVAILABLE: 503,
} as const

export type ErrorCode = keyof typeof statuses
/** 424 is for the operations of a batch that were undone with the others. */
type Status = (typeof statuses)[ErrorCode] | 424

/** Copied from node:http, which would otherwise be loaded at every start. */
const titles: Record<Status, string> = {
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  409: "Conflict",
  410: "Gone",
  412: "Precondition Failed",
  413: "Payload Too Large",
  415: "Unsupported Media Type",
  422: "Unprocessable Entity",
  424: "Failed Dependency",
  429: "Too Many Requests",
  500: "Internal Server Error",
  503: "Service Unavailable",
}

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
    this.status = extra.status ?? statuses[code]
  }

  /** The problem document of RFC 9457, with the additional members `error_code` and `timestamp`. */
  toDocument() {
    const { errors, results } = this.extra
    return {
      type: "about:blank",
      title: titles[this.status],
      status: this.status,
      detail: this.detail,
      error_code: this.code,
      timestamp: new Date().toISOString(),
      ...(errors && { errors }),
      ...(results && { results }),
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

/** `retryAfter`: seconds (RFC 9110, section 10.2.3). */
export const unavailable = (detail: string, retryAfter = 1) =>
  new Problem("SERVICE_UNAVAILABLE", detail, { headers: { "retry-after": String(retryAfter) } })

/** RFC 6585, section 4. */
export const tooManyRequests = (detail: string, retryAfter: number) =>
  new Problem("TOO_MANY_REQUESTS", detail, { headers: { "retry-after": String(retryAfter) } })
