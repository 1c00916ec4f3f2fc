/** Makes the routes of an instance ask for a bearer token, and tells them who the caller is. */
import { Elysia } from "elysia"
import type { Tokens } from "../accounts/tokens/tokens.ts"
import { noQuery, strictQuery } from "./query.ts"

/** For the `detail` of an instance that is signed in: what the document says of it. */
export const bearer = [{ bearerAuth: [] }]

/** Each route then says what query it takes. (The schema of a guard would go before the route's.) */
export const signedInWithQuery = (tokens: Tokens) =>
  new Elysia()
    .use(tokens.signer)
    .derive({ as: "scoped" }, async ({ request, jwt }) => ({
      caller: await tokens.authenticate(request.headers.get("authorization"), jwt.verify),
    }))
    .onTransform({ as: "scoped" }, strictQuery)

/** For routes that take no query. */
export const signedIn = (tokens: Tokens) =>
  signedInWithQuery(tokens).guard({ as: "scoped", query: noQuery })
