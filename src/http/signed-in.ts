/** Makes the routes of an instance ask for a bearer token, and tells them who the caller is. */
import { Elysia } from "elysia"
import { noQuery, strictQuery } from "./query.ts"

/** For the `detail` of an instance that is signed in: what the document says of it. */
export const bearer = [{ bearerAuth: [] }]

/** The caller whom an Authorization header names; throws a 401 where it names none. */
export type Authenticate<Caller extends { userId: number } = { userId: number }> = (
  authorization: string | null,
) => Promise<Caller>

/** Each route then says what query it takes. (The schema of a guard would go before the route's.) */
export const signedInWithQuery = <Caller extends { userId: number }>(
  authenticate: Authenticate<Caller>,
) =>
  new Elysia()
    .derive({ as: "scoped" }, async ({ request }) => ({
      caller: await authenticate(request.headers.get("authorization")),
    }))
    .onTransform({ as: "scoped" }, strictQuery)

/** For routes that take no query. */
export const signedIn = <Caller extends { userId: number }>(authenticate: Authenticate<Caller>) =>
  signedInWithQuery(authenticate).guard({ as: "scoped", query: noQuery })
