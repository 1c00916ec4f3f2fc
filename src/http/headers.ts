/** What every answer carries: its request id, and that its type is meant as it says. */
import { Elysia } from "elysia"

const REQUEST_ID = /^[A-Za-z0-9._-]{1,128}$/

export const headers = new Elysia().onRequest(({ request, set }) => {
  const given = request.headers.get("x-request-id")
  set.headers["x-request-id"] =
    given !== null && REQUEST_ID.test(given) ? given : Bun.randomUUIDv7()
  set.headers["x-content-type-options"] = "nosniff"
})
