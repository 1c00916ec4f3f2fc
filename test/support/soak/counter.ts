/** The todo that all writers of a user count in: an update that is lost, or done twice, is a wrong sum. */
import type { Answer, User } from "../client.ts"
import type { Held, Ledger } from "./ledger.ts"
import type { Tally } from "./tally.ts"

type Send = (statuses: number[], call: () => Promise<Answer>) => Promise<Answer>
type Result = { status: number; etag?: string; todo?: Held }

/** Each writer has a number of its own there, so that it can see what an answer that was lost said. */
export const createCounter = (
  name: string,
  user: Pick<User, "get" | "put" | "post">,
  ledger: Ledger,
  send: Send,
  tally: Tally,
) => {
  const path = `/todos/${ledger.counter}`
  const read = async () => {
    const { headers, body } = await tally.steadily(() => user.get(path))
    return { etag: headers.get("etag") ?? "", todo: body as Held }
  }
  const countsIn = ({ description }: Held) => JSON.parse(description ?? "{}")
  const wanted = () => (ledger.increments.get(name) ?? 0) + 1
  const incremented = (todo: Held) => ({
    description: JSON.stringify({ ...countsIn(todo), [name]: wanted() }),
  })

  return {
    /** Under a condition: a repeat is refused by its own success, so it looks. */
    async increment() {
      for (;;) {
        const { etag, todo } = await read()
        if (countsIn(todo)[name] === wanted()) break
        await send([200, 412], () => user.put(path, incremented(todo), { "if-match": etag }))
      }
      ledger.increments.set(name, wanted())
    },

    /** By a key: it takes the answer's word, and merges with the todo that a refusal brings. */
    async incrementOnce() {
      let { etag, todo } = await read()
      for (;;) {
        const update = {
          op: "update",
          id: ledger.counter,
          key: `${name}+${wanted()}`,
          todo: incremented(todo),
          if_match: etag,
        }
        const { body } = await send([200], () =>
          user.post("/todos/batch", { operations: [update] }),
        )
        const [result] = (body as { results: Result[] }).results
        if (result?.status === 200) break
        if (result?.status !== 412 || !result.todo) throw new Error(JSON.stringify(body))
        todo = result.todo
        etag = result.etag ?? ""
      }
      ledger.increments.set(name, wanted())
    },
  }
}
