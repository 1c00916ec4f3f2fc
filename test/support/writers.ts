/** Writers that go on whatever happens, and what each of their requests came to. */
import type { User } from "./client.ts"

export type Write = { title: string; status: number }

/** `stop` resolves when the last answer is there. */
export const startWriters = (count: number, user: Pick<User, "post">, name = "load") => {
  const writes: Write[] = []
  let isOver = false
  const write = async (writer: number) => {
    for (let n = 0; !isOver; n++) {
      const title = `${name}: ${writer}-${n}`
      const { status } = await user.post("/todos", { title })
      writes.push({ title, status })
      // A refusal is answered at once: none of them must keep the machine busy.
      if (status !== 201) await Bun.sleep(10)
    }
  }
  const all = Promise.all(Array.from({ length: count }, (_, writer) => write(writer)))
  return {
    writes,
    async stop() {
      isOver = true
      await all
    },
  }
}
