/** Serves content that stays the same while the process runs: made and compressed once, with an entity tag. */
import { promisify } from "node:util"
import { gzip } from "node:zlib"
import { matchesWeakly } from "./entity-tag.ts"

type Source = () => Promise<Uint8Array | string>

/** RFC 9110, section 12.5.3, for gzip alone. */
const ACCEPTS_GZIP = /\bgzip\b(?!\s*;\s*q=0(\.0*)?\s*(,|$))/i

/** Blobs, because a response would copy bytes. */
const prepare = async (source: Source) => {
  const content = await source()
  return {
    plain: new Blob([content]),
    gzipped: new Blob([await promisify(gzip)(content)]),
    // Weak, because both forms have the same tag.
    etag: `W/"${Bun.hash(content).toString(36)}"`,
  }
}

type Context = { request: Request; set: { headers: Record<string, string | number | undefined> } }

export const staticAsset = (source: Source, headers: Record<string, string>) => {
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
