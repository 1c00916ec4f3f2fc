/** /docs: the API reference, its OpenAPI document, and everything that the page loads. */
import { join } from "node:path"
import { Elysia, type InternalRoute } from "elysia"
import { enclosed } from "../../programs/program.ts"
import type { ClientOf } from "../client-address.ts"
import { staticAsset } from "../static-asset.ts"
import { page, prelude } from "./page.ts"

/** Scalar's script adds inline styles, and icons as `data:` URLs. All else is from this server. */
const contentSecurityPolicy = [
  "default-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "font-src 'self' data:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ")

const scalar = "node_modules/@scalar/api-reference/dist/browser/standalone.js"

/** The single file holds it compressed: a fifth of its size. */
const readScalar = (): Promise<Uint8Array> =>
  Bun.isStandaloneExecutable
    ? Bun.zstdDecompress(enclosed("scalar"))
    : Bun.file(join(import.meta.dir, "../../..", scalar)).bytes()

const hidden = { detail: { hide: true } }

export const docs = (routes: () => InternalRoute[], clientOf: ClientOf) => {
  // Imported on the first request for it, because that would take a fifth of the time of a start.
  const describe = async () => (await import("./openapi.ts")).describe(routes())
  /** `server` is relative to the document, so that it is right under any prefix. */
  const json = (server: string) =>
    staticAsset(async () => (await describe()).replace('"url": "."', `"url": "${server}"`), {
      "content-type": "application/json",
    })
  const html = staticAsset(async () => page, {
    "content-type": "text/html; charset=utf-8",
    "content-security-policy": contentSecurityPolicy,
    "referrer-policy": "no-referrer",
  })
  const script = staticAsset(
    async () => Buffer.concat([Buffer.from(prelude), await readScalar()]),
    {
      "content-type": "text/javascript; charset=utf-8",
    },
  )
  return new Elysia()
    .get("/docs", html, hidden)
    .get("/docs/json", json(".."), hidden)
    .get("/openapi.json", json("."), hidden)
    .get("/docs/scalar.js", script, hidden)
    .get(
      "/",
      ({ request, server, redirect }) => redirect(`${clientOf(request, server).prefix}/docs`),
      hidden,
    )
}
