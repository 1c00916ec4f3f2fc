/** Streams JSON of any length, read part by part, as fast as the client takes it. */
import type { TSchema } from "@sinclair/typebox"
import type { Logger } from "pino"
import type { Limiter } from "../concurrency/limiter.ts"
import { PREPARED, type Sql, type Value } from "../database/sql.ts"
import { type Client, IDLE_SECONDS, READING_SECONDS } from "./client-address.ts"
import { type AnyCaller, expectStillValid, invalidated } from "./guard.ts"
import { Problem } from "./problem.ts"

/** Bytes that are sent at once: more would hold the event loop. */
const SLICE = 64 * 1024
/** How often is asked whether the token is still valid while a client takes nothing. */
const CHECK_MS = 1_000

const JSON_HEADERS = { "content-type": "application/json" }

type Headers = Record<string, string>
type Streaming = {
  caller: Pick<AnyCaller, "isStillValid">
  client: Pick<Client, "closeAfter">
  log: Logger
  headers?: Headers
}
/** The signal is that of a client that has left. */
type Parts = (signal: AbortSignal) => AsyncIterable<Uint8Array>

/** Reads the next part while the client takes the one before. */
async function* readAhead(parts: AsyncIterable<Uint8Array>) {
  const read = parts[Symbol.asyncIterator]()
  for (let next = read.next(); ; ) {
    const { value, done } = await next
    if (done) return
    next = read.next()
    // It fails when it is awaited. By then the client may have left, and nobody awaits it.
    next.catch(() => {})
    yield value
  }
}

async function* slices(parts: AsyncIterable<Uint8Array>, caller: Streaming["caller"]) {
  for await (const part of readAhead(parts))
    for (let at = 0; at < part.length; at += SLICE) {
      await expectStillValid(caller)
      yield part.subarray(at, at + SLICE)
      // Otherwise the next slices would be sent at once, for as long as the kernel takes them.
      await new Promise(setImmediate)
    }
}

/**
 * A part is read when the client takes the previous one. So a slow client costs no connection to the
 * database and two parts of memory, and for one that leaves nothing more is read. A failure, and a token
 * that is no longer valid, reset the connection, so that the response never looks complete.
 */
export const streamJson = (parts: Parts, { caller, client, log, headers }: Streaming): Response => {
  client.closeAfter(READING_SECONDS)
  const leaving = new AbortController()
  const read = slices(parts(leaving.signal), caller)
  let timer: NodeJS.Timeout | undefined

  const end = () => {
    clearInterval(timer)
    leaving.abort()
  }
  const fail = (controller: ReadableStreamDefaultController, err: unknown) => {
    if (leaving.signal.aborted) return
    end()
    if (!(err instanceof Problem)) log.error({ err }, "a streamed response ended early")
    controller.error(err)
  }
  const check = async (controller: ReadableStreamDefaultController) => {
    if (!(await caller.isStillValid())) fail(controller, invalidated())
  }
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        timer ??= setInterval(check, CHECK_MS, controller)
        try {
          const { value, done } = await read.next()
          if (leaving.signal.aborted) return
          if (value) controller.enqueue(value)
          if (!done) return
          end()
          client.closeAfter(IDLE_SECONDS)
          controller.close()
        } catch (err) {
          fail(controller, err)
        }
      },
      async cancel() {
        end()
        await read.return()
      },
    },
    { highWaterMark: 0 },
  )
  return new Response(body, { headers: { ...JSON_HEADERS, ...headers } })
}

const COMMA = Buffer.from(",")

/** Joins texts of JSON by commas. */
export const joined = (texts: readonly Uint8Array[], before = "", after = ""): Uint8Array =>
  Buffer.concat([
    Buffer.from(before),
    ...texts.flatMap((text, index) => (index === 0 ? [text] : [COMMA, text])),
    Buffer.from(after),
  ])

/** The same, one text after the other. Those that are empty are left out. */
export async function* joinedParts(
  texts: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  before: string,
  after: string,
) {
  let isFirst = true
  for await (const text of texts) {
    if (text.length === 0) continue
    yield Buffer.concat([isFirst ? Buffer.from(before) : COMMA, text])
    isFirst = false
  }
  yield Buffer.from(isFirst ? before + after : after)
}

/** Bytes that are sent as a whole, with their length. */
const WHOLE = 8 * SLICE

/** For JSON that is there already, as texts to be joined. What is long is streamed nevertheless. */
export const sendJson = (
  texts: readonly Uint8Array[],
  before: string,
  after: string,
  streaming: Streaming,
): Response =>
  texts.reduce((sum, { length }) => sum + length, 0) <= WHOLE
    ? new Response(joined(texts, before, after), { headers: JSON_HEADERS })
    : streamJson(() => joinedParts(texts, before, after), streaming)

/** A list of an object: the schema of its items, and the pages of a user, without brackets. */
export type StreamedList = {
  items: TSchema
  pages: (userId: number, signal: AbortSignal) => AsyncIterable<Uint8Array>
}

/**
 * Reads each part in a turn of its own: whoever reads slowly has none meanwhile. The response has begun, so that
 * there is no limit to how long a part may wait.
 */
export async function* inTurns<Key>(
  parts: AsyncIterable<Uint8Array>,
  limiter: Limiter<Key>,
  key: Key,
  client: AbortSignal,
) {
  const read = parts[Symbol.asyncIterator]()
  const options = { signal: () => client, isPatient: true }
  for (;;) {
    const { value, done } = await limiter.run(key, () => read.next(), options)
    if (done) return
    yield value
  }
}

/** An object of `members`, at least one, and of lists without their brackets. */
export async function* objectParts(
  members: Record<string, unknown>,
  lists: Record<string, AsyncIterable<Uint8Array>>,
) {
  yield Buffer.from(JSON.stringify(members).slice(0, -1))
  for (const [name, pages] of Object.entries(lists))
    yield* joinedParts(pages, `,${JSON.stringify(name)}:[`, "]")
  yield Buffer.from("}")
}

const ROWS_AT_ONCE = 500

/**
 * The rows of a user ($1) that a statement selects, in pages, each of which begins after the last row of the one
 * before: no two have the columns of `key` in common.
 */
export const rowsOf = (sql: Sql, select: string, key: string[]) => {
  const page = (after: string) =>
    `select * from (${select}) as rows ${after} order by ${key} limit ${ROWS_AT_ONCE}`
  const next = page(`where (${key}) > (${key.map((_, index) => `$${index + 2}`)})`)
  return async function* (userId: number) {
    let last: Record<string, Value> | undefined
    do {
      const after = key.map((column) => last?.[column] ?? null)
      const rows: Record<string, Value>[] = await (last
        ? sql.unsafe(next, [userId, ...after], PREPARED)
        : sql.unsafe(page(""), [userId], PREPARED))
      yield Buffer.from(JSON.stringify(rows).slice(1, -1))
      last = rows[ROWS_AT_ONCE - 1]
    } while (last)
  }
}
