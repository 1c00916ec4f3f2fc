/** Makes the routes of an instance require a bearer token, and gives them the caller. */
import { Elysia } from "elysia"
import { Problem } from "./problem.ts"
import { noQuery, strictQuery } from "./request/query.ts"

/** For the `detail` of such an instance: the document then shows the requirement. */
export const bearer = [{ bearerAuth: [] }]

/** The scopes that personal access tokens may have. */
export const SCOPES = ["todos:read", "todos:write"] as const
export type Scope = (typeof SCOPES)[number]
type Resource = Scope extends `${infer Name}:${string}` ? Name : never

export type AnyCaller = {
  userId: number
  /** What the token allows. Undefined if it allows everything that its user may do. */
  scopes?: readonly Scope[] | undefined
  /**
   * Whether the token is still valid, for responses that take long: to be asked before each part. Cheap
   * unless something about the token has changed.
   */
  isStillValid: () => boolean | Promise<boolean>
}

/** Ends a response under way, when the caller's token is no longer valid. Resets the connection. */
export const invalidated = () => new Problem("UNAUTHORIZED", "The token is no longer valid")

type Headers = Record<string, string | number | undefined>

/**
 * Resolves to the caller whom an Authorization header names. Throws a 401 if it names none. May set
 * headers of the answer.
 */
export type Authenticate<Caller extends AnyCaller = AnyCaller> = (
  authorization: string | null,
  headers: Headers,
) => Promise<Caller>

const scopeOf = (resource: Resource, method: string): Scope =>
  `${resource}:${method === "GET" || method === "HEAD" ? "read" : "write"}`

/** Writing includes reading: a change is answered with the todo, and a refused one with the current todo. */
const isAllowed = (scopes: readonly Scope[], scope: Scope | undefined): boolean =>
  scopes.some((allowed) => allowed === scope || allowed.replace("write", "read") === scope)

/** RFC 6750, section 3.1. Names the scope that would be enough, if there is one. */
const insufficientScope = (scope: Scope | undefined) =>
  new Problem(
    "INSUFFICIENT_SCOPE",
    scope ? `The token lacks the scope ${scope}` : "A personal access token may not do this",
    {
      headers: {
        "www-authenticate": `Bearer error="insufficient_scope"${scope ? `, scope="${scope}"` : ""}`,
      },
    },
  )

/** Each route has to declare its own query. (The schema of a guard would win over the route's.) */
export const signedInWithQuery = <Caller extends AnyCaller>(
  authenticate: Authenticate<Caller>,
  resource?: Resource,
) =>
  new Elysia()
    .derive({ as: "scoped" }, async ({ request, set }) => {
      const caller = await authenticate(request.headers.get("authorization"), set.headers)
      const scope = resource && scopeOf(resource, request.method)
      if (caller.scopes && !isAllowed(caller.scopes, scope)) throw insufficientScope(scope)
      return { caller }
    })
    .onTransform({ as: "scoped" }, strictQuery)

/**
 * For routes without a query. Tokens with scopes are refused, unless the routes name the resource that
 * they belong to.
 */
export const signedIn = <Caller extends AnyCaller>(
  authenticate: Authenticate<Caller>,
  resource?: Resource,
) => signedInWithQuery(authenticate, resource).guard({ as: "scoped", query: noQuery })
