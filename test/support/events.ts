/** A stream of server-sent events, as a client reads it by fetch. */
type Event = { event: string; id: string; data: { state: string } }

const parse = (block: string) =>
  Object.fromEntries(
    block.split("\n").map((line) => {
      const colon = line.indexOf(":")
      return [line.slice(0, colon), line.slice(colon + 2)]
    }),
  )

export const openEvents = async (url: string, token: string) => {
  const aborting = new AbortController()
  const response = await fetch(`${url}/api/v1/todos/events`, {
    headers: { authorization: `Bearer ${token}` },
    signal: aborting.signal,
  })
  let text = ""
  let isEnded = false
  const ended = (async () => {
    const decoder = new TextDecoder()
    try {
      for await (const bytes of response.body ?? []) text += decoder.decode(bytes, { stream: true })
    } catch {
      // Aborted.
    }
    isEnded = true
  })()
  const events = (): Event[] =>
    text
      .split("\n\n")
      .slice(0, -1)
      .filter((block) => block.startsWith("event:"))
      .map(parse)
      .map(({ event = "", id = "", data = "{}" }) => ({ event, id, data: JSON.parse(data) }))
  return {
    status: response.status,
    headers: response.headers,
    events,
    text: () => text,
    /** Resolves when there are as many events, or the stream has ended. */
    async until(count: number): Promise<Event[]> {
      while (events().length < count && !isEnded) await Bun.sleep(2)
      return events()
    },
    ended,
    close: () => aborting.abort(),
    async [Symbol.asyncDispose]() {
      aborting.abort()
      await ended
    },
  }
}
