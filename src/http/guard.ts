/**
 * What the routes of an instance demand: a token and its scope, or nothing; and a query without surprises.
 * Gives them `caller`, `client`, and of the headers those that each route declares.
 */
import { Elysia } from "elysia"
import type { ClientOf } from "./client-address.ts"
import type { ApiHeader } from "./cors.ts"
import { expectedVersions } from "./entity-tag.ts"
import { Problem } from "./problem.ts"
import { noQuery } from "./validation.ts"

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

/**
 * Throws if the caller's token is no longer valid. To be called between reading and sending: what was read before
 * was read while it was valid, and of an account that is being deleted some rows may be gone.
 */
export const expectStillValid = async ({ isStillValid }: Pick<AnyCaller, "isStillValid">) => {
  if (!(await isStillValid())) throw invalidated()
}

type Headers = Record<string, string | number | undefined>

/**
 * Resolves to the caller whom an Authorization header names. Throws a 401 if it names none. May set
 * headers of the response.
 */
export type Authenticate<Caller extends AnyCaller = AnyCaller> = (
  authorization: string | null,
  headers: Headers,
) => Promise<Caller>

/**
 * Writing includes reading: a change is answered with the todo, and a refused one with the current todo. RFC 6750,
 * section 3.1: the 403 names the scope that would be enough, if there is one.
 */
const checkScope = ({ scopes }: AnyCaller, resource: Resource | undefined, method: string) => {
  if (!scopes) return
  const sufficient: Scope[] = resource ? [`${resource}:write`] : []
  if (resource && (method === "GET" || method === "HEAD")) sufficient.push(`${resource}:read`)
  if (sufficient.some((scope) => scopes.includes(scope))) return
  const least = sufficient.at(-1)
  const challenge = `Bearer error="insufficient_scope"${least ? `, scope="${least}"` : ""}`
  throw new Problem(
    "INSUFFICIENT_SCOPE",
    least ? `The token lacks the scope ${least}` : "A personal access token may not do this",
    { headers: { "www-authenticate": challenge } },
  )
}

const VISIBLE_ASCII = /^[!-~]{1,255}$/
/** RFC 7240: a preference of its own, no parameter of another one, and nothing within quotes. */
const WAIT = /^(?:(?:[^",]|"(?:[^"\\]|\\.)*")*,)*?\s*wait\s*=\s*"?(\d{1,9})"?\s*(?:$|[,;])/i
const WAIT_LIMIT_SECONDS = 60

const header = <Values>(name: ApiHeader, read: (given: string | null) => Values) => ({
  detail: { requestHeaders: [name] },
  resolve: ({ request }: { request: Request }) => read(request.headers.get(name)),
})

/** A route declares the headers that it minds, such as `ifMatch: true`. The OpenAPI document follows. */
const headers = {
  /** The versions of which the todo must have one. Undefined: any. */
  ifMatch: header("If-Match", (given) => ({ ifMatch: expectedVersions(given) })),
  /** For `matchesWeakly`. */
  ifNoneMatch: header("If-None-Match", (ifNoneMatch) => ({ ifNoneMatch })),
  idempotencyKey: header("Idempotency-Key", (idempotencyKey) => {
    if (idempotencyKey === null || VISIBLE_ASCII.test(idempotencyKey)) return { idempotencyKey }
    throw new Problem("BAD_REQUEST", "Idempotency-Key must be 1 to 255 visible ASCII characters")
  }),
  /** `wait`: seconds. */
  prefer: header("Prefer", (prefer) => {
    const seconds = WAIT.exec(prefer ?? "")?.[1]
    const wait = seconds === undefined ? undefined : Math.min(Number(seconds), WAIT_LIMIT_SECONDS)
    return { wait }
  }),
}

export type Gate<Caller extends AnyCaller> = {
  tokens: { authenticate: Authenticate<Caller> }
  clientOf: ClientOf
}

/**
 * Each route has to declare its query, or `noQuery`. Tokens with scopes are refused, unless the routes belong to a
 * resource. Without a resource the responses tell of accounts, so that nobody may store them.
 */
export const authenticatedWithQueries = <Caller extends AnyCaller>(
  { tokens: { authenticate }, clientOf }: Gate<Caller>,
  prefix: string,
  resource?: Resource,
) => {
  const cacheControl = resource === undefined ? "no-store" : "private, no-cache"
  return new Elysia({ prefix, detail: { security: [{ bearerAuth: [] }] } })
    .macro(headers)
    .derive(async ({ request, server, set }) => {
      set.headers["cache-control"] = cacheControl
      const caller = await authenticate(request.headers.get("authorization"), set.headers)
      checkScope(caller, resource, request.method)
      const client = clientOf(request, server)
      if (resource === undefined) void client.address
      return { caller, client }
    })
}

/** For routes without a query. */
export const authenticated = <Caller extends AnyCaller>(
  ...args: Parameters<typeof authenticatedWithQueries<Caller>>
) => authenticatedWithQueries<Caller>(...args).onTransform(noQuery())

/** For routes that anybody may call, to get or end a credential. They take no query. */
export const anonymous = ({ clientOf }: { clientOf: ClientOf }, prefix: string) =>
  new Elysia({ prefix })
    .derive(({ request, server, set }) => {
      set.headers["cache-control"] = "no-store"
      const client = clientOf(request, server)
      void client.address
      return { client }
    })
    .onTransform(noQuery())
