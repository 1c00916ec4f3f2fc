/** Reads JSON bodies after authentication: a wrong type is a 415, a large body a 413, anything else a 400. */
import type { TSchema } from "@sinclair/typebox"
import { createLimiter } from "../concurrency/limiter.ts"
import type { Client } from "./client-address.ts"
import { badRequest, Problem, tooManyRequests } from "./problem.ts"
import { createCheck } from "./validation.ts"

/** Bytes. Checked against Content-Length first, then against the bytes that arrive. */
const BODY_LIMIT = 64 * 1024

/** Valid bodies nest far less. A validator must not recurse 30,000 levels deep. */
const DEPTH_LIMIT = 16
/** The largest valid batch has about a thousand. */
const VALUES_LIMIT = 10_000

/** Bytes, of a body whose length is not known. */
const FIRST_BUFFER = 4 * 1024

const JSON_TYPE = ["application/json"]

const CHARSET = /^charset\b/
const UTF_8 = /^charset=("utf-8"|utf-8)$/

const malformed = (message: string) => badRequest([{ pointer: "", message }])

/** The server goes on reading: to close the connection would reset it before the client has read this. */
const tooLarge = (limit: number) =>
  new Problem("PAYLOAD_TOO_LARGE", `The body has more than ${limit} bytes`)

const checkType = ({ headers }: Request, types: string[]) => {
  const unsupported = (detail: string) =>
    new Problem("UNSUPPORTED_MEDIA_TYPE", detail, { headers: { accept: types.join(", ") } })
  if (headers.has("content-encoding")) throw unsupported("Content-Encoding is not supported")
  const [type = "", ...parameters] = (headers.get("content-type") ?? "")
    .split(";")
    .map((part) => part.trim().toLowerCase())
  if (!types.includes(type)) throw unsupported(`Content-Type must be ${types.join(" or ")}`)
  if (parameters.some((parameter) => CHARSET.test(parameter) && !UTF_8.test(parameter)))
    throw unsupported("The charset must be utf-8")
}

/** Into one buffer that grows: a client may send a megabyte in chunks of a byte. */
const readChunks = async (chunks: AsyncIterable<Uint8Array>, limit: number) => {
  let buffer = new Uint8Array(FIRST_BUFFER)
  let size = 0
  for await (const chunk of chunks) {
    const end = size + chunk.byteLength
    if (end > limit) throw tooLarge(limit)
    if (end > buffer.byteLength) {
      const larger = new Uint8Array(Math.min(limit, Math.max(end, 2 * buffer.byteLength)))
      larger.set(buffer.subarray(0, size))
      buffer = larger
    }
    buffer.set(chunk, size)
    size = end
  }
  return buffer.subarray(0, size)
}

const readBytes = async (request: Request, limit: number): Promise<Uint8Array> => {
  const length = request.headers.get("content-length")
  if (length === null) return request.body ? readChunks(request.body, limit) : new Uint8Array()
  if (Number(length) > limit) throw tooLarge(limit)
  return request.bytes()
}

const [QUOTE, COMMA, OPEN_ARRAY, ESCAPE, CLOSE_ARRAY, OPEN_OBJECT, CLOSE_OBJECT] = [
  ...'",[\\]{}',
].map((character) => character.charCodeAt(0))

/** Counts before anything is parsed: a megabyte of `{"k1":0,"k2":0,…` takes JSON.parse 25 ms. */
const checkStructure = (json: Uint8Array) => {
  let depth = 0
  let values = 0
  let isInString = false
  for (let index = 0; index < json.length; index++) {
    const byte = json[index]
    if (byte === QUOTE) isInString = !isInString
    else if (isInString) {
      if (byte === ESCAPE) index++
    } else if (byte === COMMA) {
      if (++values > VALUES_LIMIT) throw malformed(`has more than ${VALUES_LIMIT} values`)
    } else if (byte === OPEN_ARRAY || byte === OPEN_OBJECT) {
      if (++depth > DEPTH_LIMIT) throw malformed("nests too deeply")
    } else if (byte === CLOSE_ARRAY || byte === CLOSE_OBJECT) depth--
  }
}

const utf8 = new TextDecoder("utf-8", { fatal: true })

const parse = (bytes: Uint8Array): unknown => {
  checkStructure(bytes)
  let text: string
  try {
    text = utf8.decode(bytes)
  } catch {
    throw malformed("is not valid UTF-8")
  }
  try {
    return JSON.parse(text)
  } catch {
    throw malformed("is not valid JSON")
  }
}

/** Bytes. Most bodies are far smaller. To parse and check 64 KiB takes up to a millisecond. */
const LARGE = 16 * 1024

/** Large bodies are parsed one at a time, and users take turns. */
export const createLargeBodies = () =>
  createLimiter<number | string>({
    total: 1,
    queuePerKey: 100,
    waitMs: 10_000,
    refuse: () => tooManyRequests("Too many large requests at once", 1),
  })
type LargeBodies = ReturnType<typeof createLargeBodies>

type Context = {
  request: Request
  body: unknown
  /** Of the app: the instances of the features do not know it. */
  largeBodies?: LargeBodies
  caller?: { userId: number } | undefined
  client?: Client
}

/**
 * The parser of every route, which leaves the body unread. Elysia parses before it authenticates: a
 * stranger would get a 400 instead of a 401, and a route without a body a 400 for a body that it
 * ignores. So the body is read by a transform, which runs after authentication.
 */
export const leaveUnread = () => null

const body =
  (types: string[]) =>
  <Schema extends TSchema>(schema: Schema, limit = BODY_LIMIT) => {
    const check = createCheck(schema, "pointer")
    const read = (bytes: Uint8Array) => {
      const value = parse(bytes)
      check(value)
      return value
    }
    // The context is not passed on: Elysia would then parse all of the request.
    const transform = async (context: Context) => {
      const { request, largeBodies, caller, client } = context
      checkType(request, types)
      const bytes = await readBytes(request, limit).catch((cause: unknown) => {
        throw cause instanceof Problem ? cause : malformed("ended before it was complete")
      })
      if (bytes.byteLength <= LARGE || !largeBodies) {
        context.body = read(bytes)
        return
      }
      const key = caller?.userId ?? client?.address ?? ""
      const turn = await largeBodies.acquire(key, { signal: () => request.signal })
      const startedAt = performance.now()
      try {
        context.body = read(bytes)
      } finally {
        // As much time again is for all other requests.
        setTimeout(() => turn[Symbol.dispose](), performance.now() - startedAt)
      }
    }
    return { body: schema, transform: [transform] }
  }

/** Options of a route that reads JSON: `...jsonBody(schema)`. */
export const jsonBody = body(JSON_TYPE)
/** Also takes the media type of RFC 7396. */
export const mergePatchBody = body([...JSON_TYPE, "application/merge-patch+json"])
