/** Every error that a client can get: the one list of codes, and the problem document. */

/** `status`, and for people what the code means. `signedIn` is the status for a caller who has a token. */
const table = {
  BAD_REQUEST: { status: 400, meaning: "The body or the query is invalid; `errors` lists why" },
  UNAUTHORIZED: { status: 401, meaning: "The token is missing, invalid, expired or revoked" },
  INVALID_CREDENTIALS: {
    status: 401,
    signedIn: 403,
    meaning: "The email, the password or the token of a password reset is wrong",
  },
  INSUFFICIENT_SCOPE: {
    status: 403,
    meaning:
      "A personal access token may not do this; `WWW-Authenticate` names the scope that may, if any",
  },
  REGISTRATION_CLOSED: {
    status: 403,
    meaning: "Registration is closed, or the invite is missing, wrong, used or expired",
  },
  QUOTA_EXCEEDED: { status: 403, meaning: "The user has as many todos as the service allows" },
  NOT_FOUND: { status: 404, meaning: "Nothing is at this path, or nothing that the caller owns" },
  TODO_NOT_FOUND: { status: 404, meaning: "Todo not found or not owned by the caller" },
  METHOD_NOT_ALLOWED: {
    status: 405,
    meaning: "The path does not support the method; `Allow` lists those that it does",
  },
  EMAIL_TAKEN: { status: 409, meaning: "The email is already registered" },
  BATCH_ROLLED_BACK: {
    status: 409,
    meaning: "An operation of an atomic batch was refused, so all were undone; see `results`",
  },
  CHANGES_EXPIRED: {
    status: 410,
    meaning: "Changes since then are no longer known; start again without `since`",
  },
  PRECONDITION_FAILED: {
    status: 412,
    meaning: "The todo has changed since the version that If-Match names",
  },
  PAYLOAD_TOO_LARGE: { status: 413, meaning: "The body is over 64 KiB, or over 1 MiB for a batch" },
  UNSUPPORTED_MEDIA_TYPE: {
    status: 415,
    meaning: "The content type, charset or encoding of the body is not supported",
  },
  IDEMPOTENCY_KEY_REUSED: {
    status: 422,
    meaning: "The Idempotency-Key was already used with another body",
  },
  TOO_MANY_REQUESTS: {
    status: 429,
    meaning: "Too many requests or attempts; retry after `Retry-After` seconds",
  },
  INTERNAL_ERROR: { status: 500, meaning: "Unexpected error; the operator finds it in the log" },
  SERVICE_UNAVAILABLE: {
    status: 503,
    meaning: "The database is unreachable, or the service is stopping",
  },
} as const

export type ErrorCode = keyof typeof table
type Definition = { status: Status; signedIn?: Status; meaning: string }
export const errors: Record<ErrorCode, Definition> = table
export const errorCodes = Object.keys(table) as ErrorCode[]

/** 424 is for the operations of a batch that were undone with the others. */
type Status = (typeof table)[ErrorCode]["status"] | 424

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
    this.status = extra.status ?? errors[code].status
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
