/** The property that replicas have: whatever clients do, repeat and lose, each ends equal to the list. */
import { expect, test } from "bun:test"
import fc from "fast-check"
import { patiently, type User } from "../support/client.ts"
import { seed } from "../support/documented.ts"
import { listById, Replica } from "../support/replica.ts"
import { deleteTodo, insertMany, MISCOUNTED } from "../support/rows.ts"
import { shareApp } from "../support/shared-app.ts"

const { app, sql } = await shareApp()

type Step =
  | { does: "create"; key: number }
  | { does: "update"; nth: number; title: number }
  | { does: "delete"; nth: number }
  | { does: "fetch"; client: number; isLost: boolean }
  | { does: "other"; nth: number; isDeleted: boolean; commitsLate: boolean }

const small = fc.nat(5)
const CLIENTS = 3
/** Several steps at once, each of which may be sent twice: a repeat of what seemed to be lost. */
const rounds = fc.array(
  fc.array(
    fc.tuple(
      fc.oneof<fc.Arbitrary<Step>[]>(
        fc.record({ does: fc.constant("create" as const), key: fc.nat(20) }),
        fc.record({ does: fc.constant("update" as const), nth: small, title: small }),
        fc.record({ does: fc.constant("delete" as const), nth: small }),
        fc.record({
          does: fc.constant("fetch" as const),
          client: fc.nat(CLIENTS - 1),
          isLost: fc.boolean(),
        }),
        fc.record({
          does: fc.constant("other" as const),
          nth: small,
          isDeleted: fc.boolean(),
          commitsLate: fc.boolean(),
        }),
      ),
      fc.boolean(),
    ),
    { minLength: 1, maxLength: 6 },
  ),
  { minLength: 3, maxLength: 12 },
)

/** One user with clients that keep replicas. `open`: what transactions are still to commit. */
const createWorld = async (limit: number) => {
  const user: User = await app.user()
  const replicas = Array.from({ length: CLIENTS }, () => new Replica(user, limit))
  const ids: number[] = []
  const open: { commit: () => void; ended: Promise<unknown> }[] = []
  const some = (nth: number) => ids[nth % Math.max(ids.length, 1)] ?? 0
  const fetching = replicas.map(() => Promise.resolve())

  const writeLate = async ({ nth, isDeleted, commitsLate }: Extract<Step, { does: "other" }>) => {
    const { promise, resolve } = Promise.withResolvers<void>()
    const written = Promise.withResolvers<void>()
    const ended = sql.begin(async (transaction) => {
      await (isDeleted
        ? deleteTodo(transaction, user.id, some(nth))
        : insertMany(transaction, user.id, 1))
      written.resolve()
      await promise
    })
    open.push({ commit: resolve, ended })
    if (!commitsLate) resolve()
    // It may have to wait for one that commits late.
    await Promise.race([written.promise, Bun.sleep(20)])
  }

  const take = async (step: Step): Promise<unknown> => {
    switch (step.does) {
      case "create": {
        const headers = { "idempotency-key": `key-${step.key}` }
        const todo = { title: `a ${step.key}` }
        const { status, body } = await patiently(() => user.post("/todos", todo, headers))
        expect(status).toBe(201)
        return ids.push((body as { id: number }).id)
      }
      case "update":
        return user.put(`/todos/${some(step.nth)}`, { title: `b ${step.title}` })
      case "delete":
        return user.delete(`/todos/${some(step.nth)}`)
      case "fetch": {
        const { client, isLost } = step
        const replica = replicas[client]
        fetching[client] = (fetching[client] ?? Promise.resolve()).then(async () => {
          await (isLost ? replica?.lose() : replica?.step())
        })
        return fetching[client]
      }
      case "other":
        return writeLate(step)
    }
  }
  return { user, replicas, open, take }
}

test("replicas end equal to the list, whatever is done, repeated and lost", async () => {
  const property = fc.asyncProperty(rounds, fc.integer({ min: 1, max: 4 }), async (all, limit) => {
    const { user, replicas, open, take } = await createWorld(limit)
    for (const round of all) {
      const taken = round.flatMap(([step, isRepeated]) =>
        isRepeated ? [take(step), take(step)] : [take(step)],
      )
      // Whoever waits for a transaction that commits late ends when it does.
      await Promise.race([Promise.all(taken), Bun.sleep(30)])
      for (const { commit } of open) commit()
      await Promise.all([...taken, ...open.map(({ ended }) => ended)])
      open.length = 0
    }
    const list = await listById(user)
    for (const replica of replicas) {
      await replica.fetch()
      expect(replica.todos()).toEqual(list)
    }
  })
  await fc.assert(property, { numRuns: 25, seed })
})

test("replicas that are fetched while many write miss nothing", async () => {
  const user = await app.user()
  const replicas = [new Replica(user, 3), new Replica(user, 50), new Replica(user)]
  let isWriting = true
  const write = async (writer: number) => {
    const mine: number[] = []
    for (let i = 0; i < 30; i++) {
      const title = `${writer} ${i}`
      const { body } = await user.post("/todos", { title })
      mine.push((body as { id: number }).id, ...(await insertMany(sql, user.id, 1)))
      if (i % 3 === 0) await user.delete(`/todos/${mine.shift()}`)
      if (i % 3 === 1) await deleteTodo(sql, user.id, mine.shift() ?? 0)
      await user.put(`/todos/${mine[i % mine.length]}`, { title: `changed ${title}` })
    }
  }
  const tail = async (replica: Replica) => {
    while (isWriting) await replica.fetch()
  }
  const tails = replicas.map(tail)
  await Promise.all([1, 2, 3, 4].map(write))
  isWriting = false
  await Promise.all(tails)
  const list = await listById(user)
  for (const replica of replicas) {
    await replica.fetch()
    expect(replica.todos()).toEqual(list)
  }
})

test("a user who is deleted while clients write leaves nothing behind, and nobody waits for ever", async () => {
  for (let round = 0; round < 5; round++) {
    const user = await app.user()
    const { body } = await user.post("/todos", { title: "a" })
    const { id } = body as { id: number }
    const write = async (n: number) => {
      for (let i = 0; i < 10; i++) {
        const answers = [
          await user.post("/todos", { title: `${n} ${i}` }),
          await user.put(`/todos/${id}`, { title: `${n} ${i}` }),
        ]
        for (const { status } of answers) expect([200, 201, 401, 404]).toContain(status)
      }
    }
    const [gone] = await Promise.all([
      Bun.sleep(5 * round).then(() => user.delete("/users/me")),
      ...[1, 2, 3, 4].map(write),
    ])
    expect(gone.status).toBe(204)
    for (const table of ["todos", "revisions"])
      expect(await sql`select from ${sql(table)} where owner_id = ${user.id}`).toHaveLength(0)
  }
})

test("every owner's count of todos is right, and every todo has a revision", async () => {
  expect(Array.from(await sql.unsafe(MISCOUNTED))).toEqual([])
})
