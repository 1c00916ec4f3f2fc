/** For routes that anybody may call. They get the client's address, and take no query. */
import { clientAddress } from "./client-address.ts"
import { noQuery, strictQuery } from "./request/query.ts"

export const unauthenticated = (trustedProxies: string[]) =>
  clientAddress(trustedProxies)
    .onTransform({ as: "scoped" }, strictQuery)
    .guard({ as: "scoped", query: noQuery })
