/** The errors in the OpenAPI document: each code with its meaning, and the problem document it is in. */
import { type ErrorCode, errorCodes, errors, Problem } from "../problem.ts"
import { headersOf, type Json, RATE_LIMIT, type ResponseHeader, referTo } from "./headers.ts"

const string = { type: "string" }

const refusalHeaders: { [status: number]: ResponseHeader[] } = {
  401: ["WWW-Authenticate"],
  412: ["ETag"],
  415: ["Accept"],
  429: ["Retry-After"],
  503: ["Retry-After"],
}

/** A signed-in caller is authenticated already, so a wrong password is a 403, not a 401. */
export const statusOf = (code: ErrorCode, isSignedIn: boolean): number =>
  isSignedIn && code === "INVALID_CREDENTIALS" ? 403 : errors[code][0]

const listOfErrors = errorCodes
  .map((code) => {
    const possible = new Set([false, true].map((isSignedIn) => statusOf(code, isSignedIn)))
    return `- \`${code}\` (${[...possible].join(", signed in ")}): ${errors[code][1]}`
  })
  .join("\n")

/** The first page of the reference: what applies to all routes. */
export const introduction = `
Todos of many users, each of whom sees only their own. Register, log in, send the \`access_token\` as
\`Authorization: Bearer …\`, and keep todos. Scripts use a personal access token instead, which lives
longer and may do less: \`POST /api/v1/users/me/tokens\`.

## Conventions
Bodies are JSON in UTF-8, at most 64 KiB (a batch 1 MiB). Timestamps are RFC 3339 in UTC. Lengths are counted
in Unicode code points. Nothing is coerced: \`"true"\` is no boolean, \`123\` is no title. Unknown members
of a body and unknown or repeated query parameters are refused. Responses may gain members: ignore those that
you do not know.

HEAD works wherever GET does, OPTIONS answers 204 with \`Allow\`. Any path answers a method that it does not
support with 405 and \`Allow\`, and any request may fail with 500; the operations do not repeat this.

Every response has an \`X-Request-Id\`, by which the operator finds the request in the log: the one that was
sent, if it is 1 to 128 characters of \`A-Z a-z 0-9 . _ -\`, else a new UUIDv7.

The entity tag of a todo is that of its version: \`W/"7"\`, \`"7-gzip"\`, \`"7-br"\` and \`"7-zstd"\`, which proxies
make of it, count as \`"7"\`.

## Errors
Every error is a problem document (RFC 9457) of the type \`application/problem+json\`: \`detail\` is for
people, \`error_code\` for programs.

${listOfErrors}
`.trim()

/** `pointer` is a JSON Pointer (RFC 6901). */
export const brokenRule = {
  type: "object",
  description: "One broken rule of a body or of a query",
  required: ["message"],
  properties: {
    pointer: { ...string, description: "Where in the body: RFC 6901", example: "/title" },
    parameter: { ...string, description: "Or which parameter of the query" },
    message: { ...string, description: "For people", example: "must not be empty" },
  },
}

/** The members of RFC 9457, and two extension members: `error_code` and `timestamp`. */
const members = {
  type: { ...string, description: "Says no more than the status", example: "about:blank" },
  title: { ...string, description: "The status in words" },
  status: { type: "integer", minimum: 400, maximum: 599 },
  detail: { ...string, description: "What is wrong, for people" },
  error_code: { ...string, description: "What is wrong, for programs" },
  timestamp: { ...string, format: "date-time" },
}

const listOf = (name: string, description: string) => ({
  type: "array",
  description,
  items: referTo("schemas", name),
})

/** `TODO_NOT_FOUND` becomes `TodoNotFound`. */
const pascalCase = (code: string) =>
  code.toLowerCase().replace(/(?:^|_)([a-z])/g, (_, letter: string) => letter.toUpperCase())

export const refusalName = (codes: ErrorCode[]) => codes.map(pascalCase).join("Or")

const meaningOf = (codes: ErrorCode[]) => codes.map((code) => errors[code][1]).join("; or: ")

/**
 * Puts the problem document of these codes into `named`, and returns a reference to it. Each has a
 * schema of its own, with a name: code generators make a good type of that, but not of `allOf`.
 */
const problemOf = (codes: ErrorCode[], named: Json): Json => {
  const name = `${refusalName(codes)}Problem`
  named[name] = {
    type: "object",
    description: meaningOf(codes),
    required: Object.keys(members),
    properties: {
      ...members,
      error_code: { ...members.error_code, enum: codes },
      ...(codes.includes("BAD_REQUEST") && {
        errors: listOf("BrokenRule", "The broken rules, 20 at most"),
      }),
      ...(codes.includes("BATCH_ROLLED_BACK") && {
        results: listOf("BatchResult", "The result of each operation"),
      }),
    },
  }
  return referTo("schemas", name)
}

const exampleOf = (code: ErrorCode, status: number) => {
  const problem = new Problem(code, errors[code][1], {
    ...{ status: status as Problem["status"] },
    ...(code === "BAD_REQUEST" && {
      errors: [{ pointer: "/title", message: "must not be empty" }],
    }),
  })
  return { value: { ...problem.toDocument(), timestamp: "2026-11-22T16:40:03.214Z" } }
}

/** The response with this status, which has one of these codes. */
export const refusal = (status: number, codes: ErrorCode[], named: Json): Json => ({
  description: meaningOf(codes),
  headers: {
    ...headersOf([...(refusalHeaders[status] ?? []), ...(status === 401 ? [] : RATE_LIMIT)]),
    // Other codes of the same status come without it.
    ...(codes.includes("INSUFFICIENT_SCOPE") && {
      "WWW-Authenticate": {
        description:
          'RFC 6750: `Bearer error="insufficient_scope"`, with the `scope` that would do, if any',
        schema: string,
      },
    }),
  },
  content: {
    "application/problem+json": {
      schema: problemOf(codes, named),
      examples: Object.fromEntries(
        codes.map((code) => [pascalCase(code), exampleOf(code, status)]),
      ),
    },
  },
})
