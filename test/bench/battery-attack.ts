/** One request, sent again and again by many connections until the time is over: the attack of battery.ts. */
export {}

type Attack = {
  url: string
  method: string
  headers: Record<string, string>
  body?: string
  connections: number
  seconds: number
}

const { url, method, headers, body, connections, seconds } = (await Bun.stdin.json()) as Attack
const until = performance.now() + seconds * 1_000
const statuses: Record<string, number> = {}

const send = async (): Promise<string> => {
  try {
    const response = await fetch(url, {
      method,
      headers,
      ...(body !== undefined && { body }),
      decompress: false,
      signal: AbortSignal.timeout(Math.max(1, until - performance.now())),
    })
    // What the client need not understand is not copied.
    for await (const _ of response.body ?? []);
    return String(response.status)
  } catch {
    return performance.now() >= until ? "under way" : "no answer"
  }
}

await Promise.all(
  Array.from({ length: connections }, async () => {
    while (performance.now() < until) {
      const outcome = await send()
      statuses[outcome] = (statuses[outcome] ?? 0) + 1
      if (outcome === "no answer") await Bun.sleep(10)
    }
  }),
)
process.stdout.write(JSON.stringify(statuses))
