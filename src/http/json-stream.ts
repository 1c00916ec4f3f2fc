/** Streams a JSON object of any length. Its lists are read page by page, as fast as the client reads. */
import type { TSchema } from "@sinclair/typebox"
import type { Logger } from "pino"
import { type AnyCaller, invalidated } from "./guard.ts"
import { Problem } from "./problem.ts"

/** A list in the object: the schema of its items, and its pages for a user. */
export type StreamedList = {
  items: TSchema
  pages: (userId: number) => AsyncIterable<readonly object[]>
}

/** Pages of `size` items, each of which begins after the last item of the previous one. */
export async function* pagesAfter<Item extends object>(
  size: number,
  read: (limit: number, after: Item | undefined) => Promise<readonly Item[]>,
): AsyncGenerator<readonly Item[]> {
  let after: Item | undefined
  for (;;) {
    const page = await read(size, after)
    yield page
    if (page.length < size) return
    after = page.at(-1)
  }
}

async function* objectText(
  members: Record<string, unknown>,
  lists: Record<string, AsyncIterable<readonly object[]>>,
) {
  yield JSON.stringify(members).slice(0, -1)
  for (const [name, pages] of Object.entries(lists)) {
    yield `,${JSON.stringify(name)}:[`
    let separator = ""
    for await (const page of pages) {
      if (page.length === 0) continue
      yield separator + JSON.stringify(page).slice(1, -1)
      separator = ","
    }
    yield "]"
  }
  yield "}"
}

/**
 * Sends `members` first, at least one, and then the lists. A page is read when the client has taken the
 * previous one, and only if the caller's token is still valid. A failure resets the connection, so that
 * the object never looks complete.
 */
export const streamObject = (
  members: Record<string, unknown>,
  lists: Record<string, AsyncIterable<readonly object[]>>,
  headers: Record<string, string>,
  { isStillValid }: Pick<AnyCaller, "isStillValid">,
  log: Logger,
): Response => {
  const encoder = new TextEncoder()
  const text = objectText(members, lists)
  const stream = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          if (!(await isStillValid())) throw invalidated()
          const { value, done } = await text.next()
          if (done) controller.close()
          else controller.enqueue(encoder.encode(value))
        } catch (err) {
          if (!(err instanceof Problem)) log.error({ err }, "a streamed object ended early")
          throw err
        }
      },
      async cancel() {
        await text.return()
      },
    },
    { highWaterMark: 0 },
  )
  return new Response(stream, { headers: { "content-type": "application/json", ...headers } })
}
