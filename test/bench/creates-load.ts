export type Creates = {
  url: string
  /** One a worker. */
  tokens: string[]
  count: number
  /** 1: each by itself. */
  atOnce: number
}

const { url, tokens, count, atOnce } = (await Bun.stdin.json()) as Creates
const todo = { title: "Buy milk", description: "Two litres, and oats" }
const operations = Array.from({ length: atOnce }, () => ({ op: "create", todo }))
const [path, body] = atOnce === 1 ? ["", todo] : ["/batch", { operations }]
const sent = JSON.stringify(body)

const started = performance.now()
let left = count
await Promise.all(
  tokens.map(async (token) => {
    const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" }
    while (left > 0) {
      left -= atOnce
      const response = await fetch(`${url}/api/v1/todos${path}`, {
        method: "POST",
        headers,
        body: sent,
      })
      await response.bytes()
      if (!response.ok) throw new Error(`${response.status}`)
    }
  }),
)
process.stdout.write(JSON.stringify((performance.now() - started) / 1_000))
