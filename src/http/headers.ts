/** What every answer carries: its request id, and that its type is meant as it says. */
import { Elysia } from "elysia"

/** What a caller may name a request: text that no log or header has to escape. */
export const REQUEST_ID_PATTERN = "^[A-Za-z0-9._-]{1,128}$"
const REQUEST_ID = new RegExp(REQUEST_ID_PATTERN)

export const headers = new Elysia().onRequest(({ request, set }) => {
  const given = request.headers.get("x-request-id")
  set.headers["x-request-id"] =
    given !== null && REQUEST_ID.test(given) ? given : Bun.randomUUIDv7()
  set.headers["x-content-type-options"] = "nosniff"
})
