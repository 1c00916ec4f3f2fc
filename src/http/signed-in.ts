/** Makes the routes of an instance ask for a bearer token, and tells them who the caller is. */
import { Elysia } from "elysia"
import { Problem } from "../errors.ts"
import { noQuery, strictQuery } from "./request/query.ts"

/** For the `detail` of an instance that is signed in: what the document says of it. */
export const bearer = [{ bearerAuth: [] }]

/** What the tokens that do not stand for all of their user may be good for. */
export const SCOPES = ["todos:read", "todos:write"] as const
export type Scope = (typeof SCOPES)[number]
type Resource = Scope extends `${infer Name}:${string}` ? Name : never

export type AnyCaller = {
  userId: number
  /** All that the token is good for. Undefined where it stands for its user. */
  scopes?: readonly Scope[] | undefined
}

type Headers = Record<string, string | number | undefined>

/**
 * The caller whom an Authorization header names; throws a 401 where it names none. May set headers
 * of the answer.
 */
export type Authenticate<Caller extends AnyCaller = AnyCaller> = (
  authorization: string | null,
  headers: Headers,
) => Promise<Caller>

const scopeOf = (resource: Resource, method: string): Scope =>
  `${resource}:${method === "GET" || method === "HEAD" ? "read" : "write"}`

/** RFC 6750, section 3.1. Names the scope that would do, where there is one. */
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

/** Each route then says what query it takes. (The schema of a guard would go before the route's.) */
export const signedInWithQuery = <Caller extends AnyCaller>(
  authenticate: Authenticate<Caller>,
  resource?: Resource,
) =>
  new Elysia()
    .derive({ as: "scoped" }, async ({ request, set }) => {
      const caller = await authenticate(request.headers.get("authorization"), set.headers)
      const scope = resource && scopeOf(resource, request.method)
      if (caller.scopes && !(scope && caller.scopes.includes(scope))) throw insufficientScope(scope)
      return { caller }
    })
    .onTransform({ as: "scoped" }, strictQuery)

/**
 * For routes that take no query. Tokens with scopes are refused, unless the routes say of which
 * resource they are.
 */
export const signedIn = <Caller extends AnyCaller>(
  authenticate: Authenticate<Caller>,
  resource?: Resource,
) => signedInWithQuery(authenticate, resource).guard({ as: "scoped", query: noQuery })
