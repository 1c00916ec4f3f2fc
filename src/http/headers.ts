/** The headers of every answer: its request id, and nosniff. */
import { Elysia } from "elysia"

/** Request ids that a caller may choose. No log and no header has to escape them. */
export const REQUEST_ID_PATTERN = "^[A-Za-z0-9._-]{1,128}$"
const REQUEST_ID = new RegExp(REQUEST_ID_PATTERN)

export const headers = new Elysia().onRequest(({ request, set }) => {
  const given = request.headers.get("x-request-id")
  set.headers["x-request-id"] =
    given !== null && REQUEST_ID.test(given) ? given : Bun.randomUUIDv7()
  set.headers["x-content-type-options"] = "nosniff"
})
