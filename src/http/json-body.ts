/** Reads JSON bodies after authentication: a wrong type is a 415, a large body a 413, anything else a 400. */
import type { TSchema } from "@sinclair/typebox"
import { badRequest, Problem } from "./problem.ts"
import { bodyJudge } from "./validation.ts"

/** Bytes. Checked against Content-Length first, then against the bytes that arrive. */
const BODY_LIMIT = 64 * 1024

/** Valid bodies nest far less. A validator must not recurse 30,000 levels deep. */
const DEPTH_LIMIT = 16

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

const readBytes = async (request: Request, limit: number): Promise<Uint8Array> => {
  const length = request.headers.get("content-length")
  if (length !== null) {
    if (Number(length) > limit) throw tooLarge(limit)
    return request.bytes()
  }
  // No buffer of full size up front: many clients may send slowly.
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of request.body ?? []) {
    size += chunk.byteLength
    if (size > limit) throw tooLarge(limit)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

const isDeeperThan = (limit: number, value: unknown): boolean =>
  typeof value === "object" &&
  value !== null &&
  (limit === 0 || Object.values(value).some((member) => isDeeperThan(limit - 1, member)))

/** Bytes. Most bodies are far smaller. Parsing 64 KiB takes a millisecond. */
const LARGE = 16 * 1024

let lastLarge: Promise<void> = Promise.resolve()
/** Only one large body is parsed in each round of the event loop, so that others are not delayed. */
const largeBodyTurn = () => {
  const mine = lastLarge
  lastLarge = mine.then(() => new Promise((resolve) => setImmediate(resolve)))
  return mine
}

const utf8 = new TextDecoder("utf-8", { fatal: true })

const readJson = async (request: Request, types: string[], limit: number): Promise<unknown> => {
  checkType(request, types)
  const bytes = await readBytes(request, limit).catch((cause: unknown) => {
    throw cause instanceof Problem ? cause : malformed("ended before it was complete")
  })
  if (bytes.byteLength > LARGE) await largeBodyTurn()
  let text: string
  try {
    text = utf8.decode(bytes)
  } catch {
    throw malformed("is not valid UTF-8")
  }
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw malformed("is not valid JSON")
  }
  if (isDeeperThan(DEPTH_LIMIT, value)) throw malformed("nests too deeply")
  return value
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
    const judge = bodyJudge(schema)
    const transform = async (context: { request: Request; body: unknown }) => {
      context.body = await readJson(context.request, types, limit)
      judge(context.body)
    }
    return { body: schema, transform: [transform] }
  }

/** Options of a route that reads JSON: `...jsonBody(schema)`. */
export const jsonBody = body(JSON_TYPE)
/** Also takes the media type of RFC 7396. */
export const mergePatchBody = body([...JSON_TYPE, "application/merge-patch+json"])
