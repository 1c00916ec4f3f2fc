/** Reads JSON bodies after authentication: a wrong type is a 415, a large body a 413, anything else a 400. */
import type { TSchema } from "@sinclair/typebox"
import { t } from "elysia"
import { createLimiter } from "../concurrency/limiter.ts"
import type { Client } from "./client-address.ts"
import { badRequest, Problem, tooManyRequests } from "./problem.ts"
import { createCheck } from "./validation.ts"

/** Bytes. Checked against Content-Length first, then against the bytes that arrive. */
const BODY_LIMIT = 64 * 1024

/** The largest valid batch has about a thousand. */
const VALUES_LIMIT = 10_000

const JSON_TYPE = ["application/json"]

const OTHER_CHARSET = /^charset\b(?!=(?:"utf-8"|utf-8)$)/

const malformed = (message: string) => badRequest([{ pointer: "", message }])

const checkType = ({ headers }: Request, types: string[]) => {
  const unsupported = (detail: string) =>
    new Problem("UNSUPPORTED_MEDIA_TYPE", detail, { headers: { accept: types.join(", ") } })
  if (headers.has("content-encoding")) throw unsupported("Content-Encoding is not supported")
  const [type = "", ...parameters] = (headers.get("content-type") ?? "")
    .split(";")
    .map((part) => part.trim().toLowerCase())
  if (!types.includes(type)) throw unsupported(`Content-Type must be ${types.join(" or ")}`)
  if (parameters.some((parameter) => OTHER_CHARSET.test(parameter)))
    throw unsupported("The charset must be utf-8")
}

/** Into one buffer: somebody may send a megabyte in chunks of a byte. */
export const readChunks = async (
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  limit: number,
  refuse: () => unknown,
) => {
  const buffer = new Bun.ArrayBufferSink()
  buffer.start({ asUint8Array: true })
  let size = 0
  for await (const chunk of chunks) {
    size += buffer.write(chunk)
    if (size > limit) throw refuse()
  }
  return buffer.end() as Uint8Array
}

const readBytes = async (request: Request, limit: number): Promise<Uint8Array> => {
  /** The server goes on reading: to close the connection would reset it before the client has read this. */
  const tooLarge = () => new Problem("PAYLOAD_TOO_LARGE", `The body has more than ${limit} bytes`)
  const length = request.headers.get("content-length")
  if (length === null) return readChunks(request.body ?? [], limit, tooLarge)
  if (Number(length) > limit) throw tooLarge()
  return request.bytes()
}

const [QUOTE, COMMA, ARRAY, ESCAPE, OBJECT] = Buffer.from('",[\\{')

/**
 * Counts before anything is parsed: a megabyte of `{"k1":0,"k2":0,…` takes JSON.parse 25 ms, and one of `[[[…`
 * 250 ms.
 */
const checkStructure = (json: Uint8Array) => {
  let values = 0
  let isInString = false
  for (let index = 0; index < json.length; index++) {
    const byte = json[index]
    if (byte === QUOTE) isInString = !isInString
    else if (isInString) {
      if (byte === ESCAPE) index++
    } else if (byte === COMMA || byte === ARRAY || byte === OBJECT) {
      if (++values > VALUES_LIMIT) throw malformed(`has more than ${VALUES_LIMIT} values`)
    }
  }
}

const utf8 = new TextDecoder("utf-8", { fatal: true })

const parse = (bytes: Uint8Array): unknown => {
  checkStructure(bytes)
  try {
    return JSON.parse(utf8.decode(bytes))
  } catch (error) {
    throw malformed(error instanceof SyntaxError ? "is not valid JSON" : "is not valid UTF-8")
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

type Context = {
  request: Request
  body: unknown
  /** Of the app: the instances of the features do not know it. */
  largeBodies?: ReturnType<typeof createLargeBodies>
  caller?: { userId: number }
  client?: Pick<Client, "address">
}

const body =
  (types: string[]) =>
  <Schema extends TSchema>(schema: Schema, limit = BODY_LIMIT) => {
    const check = createCheck(schema, "pointer")
    // The context is not passed on: Elysia would then parse all of the request.
    const transform = async (context: Context) => {
      const { request, largeBodies, caller, client } = context
      checkType(request, types)
      const bytes = await readBytes(request, limit).catch((cause: unknown) => {
        throw cause instanceof Problem ? cause : malformed("ended before it was complete")
      })
      const key = caller?.userId ?? client?.address ?? ""
      const isLarge = bytes.byteLength > LARGE
      const turn = isLarge && (await largeBodies?.acquire(key, { signal: () => request.signal }))
      const startedAt = performance.now()
      try {
        context.body = parse(bytes)
        check(context.body)
      } finally {
        // As much time again is for all other requests.
        if (turn) setTimeout(() => turn[Symbol.dispose](), performance.now() - startedAt)
      }
    }
    // Elysia would parse it before authentication: a stranger would get a 400 instead of a 401.
    return { parse: "none" as const, body: t.NoValidate(schema), transform: [transform] }
  }

/** Options of a route that reads JSON: `...jsonBody(schema)`. */
export const jsonBody = body(JSON_TYPE)
/** Also takes the media type of RFC 7396. */
export const mergePatchBody = body([...JSON_TYPE, "application/merge-patch+json"])
