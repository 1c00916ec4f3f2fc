/** /docs: the API reference, its OpenAPI document, and everything that the page loads. */
import { join } from "node:path"
import { promisify } from "node:util"
import { Elysia, type InternalRoute } from "elysia"
import { enclosed } from "../../programs/program.ts"
import type { ClientOf } from "../client-address.ts"
import { matchesWeakly } from "../entity-tag.ts"
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

type Source = () => Promise<Uint8Array | string>

/** RFC 9110, section 12.5.3, for gzip alone. */
const ACCEPTS_GZIP = /\bgzip\b(?!\s*;\s*q=0(\.0*)?\s*(,|$))/i

/** Blobs, because a response would copy bytes. */
const prepare = async (source: Source) => {
  const content = await source()
  // Imported here, because it would add 2 MB to a service that nobody asks for this.
  const { gzip } = await import("node:zlib")
  return {
    plain: new Blob([content]),
    gzipped: new Blob([await promisify(gzip)(content)]),
    // Weak, because both forms have the same tag.
    etag: `W/"${Bun.hash(content).toString(36)}"`,
  }
}

type Context = { request: Request; set: { headers: Record<string, string | number | undefined> } }

/** Content that stays the same while the process runs: made and compressed once, with an entity tag. */
const staticAsset = (source: Source, headers: Record<string, string>) => {
  let prepared: ReturnType<typeof prepare> | undefined
  return async ({ request, set }: Context): Promise<Response> => {
    prepared ??= prepare(source)
    const { plain, gzipped, etag } = await prepared
    // CORS may have set it to Origin.
    const vary = [set.headers["vary"], "accept-encoding"].filter(Boolean).join(", ")
    const all = { ...headers, etag, vary, "cache-control": "no-cache" }
    if (matchesWeakly(request.headers.get("if-none-match"), etag))
      return new Response(null, { status: 304, headers: all })
    return ACCEPTS_GZIP.test(request.headers.get("accept-encoding") ?? "")
      ? new Response(gzipped, { headers: { ...all, "content-encoding": "gzip" } })
      : new Response(plain, { headers: all })
  }
}

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
