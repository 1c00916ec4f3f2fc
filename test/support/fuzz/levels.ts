/** A seed at each level: the driver alone, the pool, the service. All speak to Postgres through the proxy. */
import type postgres from "postgres"
import { connect } from "../../../src/database/connect.ts"
import { controlsOf, isActive, openConnection, type Query } from "../../../src/database/driver.ts"
import { isAway } from "../../../src/database/errors.ts"
import type { Sql, Statements } from "../../../src/database/sql.ts"
import type { Answer, User } from "../client.ts"
import { createRandom, type Random } from "../simulation/random.ts"
import type { TestSql } from "../sql.ts"
import { planOf } from "./plan.ts"
import type { FaultProxy } from "./proxy.ts"
import { checkWrites, codeOf, createWork, type Work } from "./work.ts"

export type World = {
  admin: TestSql
  proxy: FaultProxy
  /** Of the database behind the proxy. */
  url: string
  /** Of what speaks to the database through the proxy: its application_name. */
  name: string
  /** Kills the server and starts it again. Missing where the seed does not do that. */
  restart: (() => Promise<void>) | undefined
}

type Level = (world: World, seed: number, random: Random) => Promise<string[]>

/** The plans of a seed, the same whenever it runs. */
const planBy = ({ proxy }: World, seed: number, isRough: boolean) =>
  proxy.use(Array.from({ length: 8 }, (_, n) => planOf(createRandom(seed * 16 + n), isRough)))

/** What others do to the database meanwhile. */
const disturb = async (world: World, random: Random, isRough: boolean) => {
  const type = random.oneOf(["bigint", "integer", "text"])
  // Where a statement holds the lock, nothing is changed.
  if (random.chance(0.3))
    await world.admin
      .begin(async (transaction) => {
        await transaction`set local lock_timeout = '50ms'`
        await transaction.unsafe(`alter table stored alter n type ${type} using n::${type}`)
      })
      .catch(() => {})
  if (isRough && random.chance(0.1))
    await world.admin`
      select pg_terminate_backend(pid)
      from pg_stat_activity
      where application_name = ${world.name}`
  if (isRough && random.chance(0.3)) await world.restart?.()
}

/** Rounds of a few statements at once, beside one another or after one another. */
const inRounds = async (
  world: World,
  random: Random,
  isRough: boolean,
  next: () => unknown,
  work: Work,
) => {
  for (let round = 4 + random.below(4); round > 0; round--) {
    for (let n = 1 + random.below(6); n > 0; n--) next()
    const disturbing = disturb(world, random, isRough)
    if (random.chance(0.5)) await Bun.sleep(random.below(8))
    else await work.settled()
    await disturbing
  }
  await work.settled()
}

/** What is left beyond so many connections, after a while. */
const leftOver = async ({ admin, proxy, name }: World, most = 0): Promise<string[]> => {
  const deadline = performance.now() + 3_000
  for (;;) {
    const { count } = await admin`
      select from pg_stat_activity where application_name = ${name}`
    // The proxy has two sockets for each.
    if (count <= most && proxy.open() <= 2 * most) return []
    if (performance.now() > deadline)
      return [`${count} connections are left, and ${proxy.open()} sockets`]
    await Bun.sleep(10)
  }
}

/** What a session forgot, or a plan that is not good any more. */
const STALE = /^(26000|0A000|25P02|ROLLED_BACK)$/
const GONE = /^(CONNECTION|CONNECT|ECONN|EPIPE|57P)/

/** Of the database behind the proxy, now and then over TLS. */
const urlBy = ({ url }: World, random: Random) =>
  random.chance(0.15) ? `${url}&sslmode=require` : url

/** The driver sends nothing anew, and opens no connection again. */
export const driver: Level = async (world, seed, random) => {
  const isRough = random.chance(0.6)
  const url = urlBy(world, random)
  planBy(world, seed, isRough)
  const opened: { isGone: boolean; sql: postgres.Sql }[] = []
  /** Its reader left a COPY, which ends the connection. */
  let isLeft = false
  const open = () => {
    const max = 1 + random.below(2)
    let closed = 0
    const onclose = () => {
      closed++
      own.isGone = closed === max
    }
    const options = { max, prepare: true, onclose, max_pipeline: random.oneOf([2, 100]) ?? 100 }
    const own = { isGone: false, sql: openConnection(url, options) }
    opened.push(own)
    return own
  }
  let current = open()
  const work = createWork(
    random,
    {
      tag: () => current.sql as unknown as Statements,
      isOrdered: () => current.sql.options.max === 1,
      begin: (inside) => current.sql.begin((tag) => inside(tag as unknown as Statements)),
    },
    seed,
    (error) => STALE.test(codeOf(error)) || ((isRough || isLeft) && GONE.test(codeOf(error))),
  )
  const next = () => {
    // One that is gone says so.
    if (current.isGone && random.chance(0.8)) current = open()
    return work.next()
  }
  /** It may come late. What is asked when it is over is not cancelled. */
  const cancelled = async () => {
    const { sql } = current
    const isLate = isRough || random.chance(0.5)
    const query = sql`select pg_sleep(${isLate ? 0.02 : 60})`.execute()
    let isOver = false
    const asked = isLate
      ? query.catch((error) => {
          if (codeOf(error) !== "57014") throw error
        })
      : query
    const over = work.ask("cancelled", asked, () => !isLate, isLate ? undefined : /57014/)
    over.then(() => {
      isOver = true
    })
    while (!isOver && !isActive(query as unknown as Query)) await Bun.sleep(1)
    if (!isOver) work.ask("cancel", controlsOf(sql).cancel(query as unknown as Query), () => false)
  }
  /** Each has its connection to itself, as in a backup. */
  const alone = async () => {
    for (let n = random.below(6); n > 0; n--) {
      if (current.isGone) current = open()
      const kind = random.below(4)
      if (kind === 0) {
        isLeft ||= random.chance(0.3)
        work.copyOut(isLeft)
      } else if (kind === 1) await cancelled()
      else work.copyIn(random.chance(0.5))
      await work.settled()
    }
  }
  await inRounds(world, random, isRough, next, work)
  await alone()
  await inRounds(world, random, isRough, next, work)
  // What is under way at the end, or still has no connection, may be answered or not.
  isLeft = true
  if (random.chance(0.5)) current = open()
  for (let n = random.below(6); n > 0; n--) work.next()
  await Bun.sleep(random.below(6))
  const ends = Promise.all(
    opened.map(({ sql }) => sql.end(random.chance(0.5) ? { timeout: 0 } : {})),
  )
  work.ask("end", ends, () => false)
  await work.settled()
  await checkWrites(world.admin as unknown as Statements, seed, work)
  return [...work.problems, ...(await leftOver(world))]
}

/** Undefined once all connections of the pool answer at once; otherwise why they do not. */
const untilWhole = async (sql: Sql): Promise<unknown> => {
  const deadline = performance.now() + 1_000
  for (;;) {
    const all = Array.from({ length: sql.state().size }, () => sql`select pg_sleep(0.01)`)
    // Of a round that fails nothing may be under way in the next one, which would not need its connection.
    const failed = (await Promise.allSettled(all)).find((result) => result.status === "rejected")
    if (!failed || performance.now() > deadline) return failed?.reason
  }
}

export const pool: Level = async (world, seed, random) => {
  const isRough = random.chance(0.5)
  planBy(world, seed, isRough)
  const sql = connect(urlBy(world, random), 1 + random.below(3))
  let isSlow = false
  const work = createWork(
    random,
    {
      tag: () => (random.chance(0.7) ? sql.pipelined : sql),
      isOrdered: () => false,
      begin: (inside) => sql.begin(inside),
    },
    seed,
    // Of a transaction nothing is sent anew.
    (error, isOfTransaction) =>
      (isOfTransaction && STALE.test(codeOf(error))) ||
      (isRough && isAway(error)) ||
      (isSlow && codeOf(error) === "POOL_EXHAUSTED"),
  )
  if (random.chance(0.04)) {
    isSlow = true
    const slow = Promise.resolve(sql.pipelined`select pg_sleep(60)`)
    work.ask("too slow", slow, () => true, /57014|CONNECTION/)
  }
  await inRounds(world, random, isRough, work.next, work)
  world.proxy.use([])
  const failure = await untilWhole(sql)
  if (failure) work.problems.push(`the pool is not whole: ${failure}`)
  const { busy, waiting, size } = sql.state()
  if (busy > 0 || waiting > 0) work.problems.push(`${busy} are busy, and ${waiting} wait`)
  work.problems.push(...(await leftOver(world, size)))
  await sql.end()
  await checkWrites(world.admin as unknown as Statements, seed, work)
  return [...work.problems, ...(await leftOver(world))]
}

type Todo = { id: number; title: string; is_completed: boolean }
/** What a request made, if it was answered: `isOwed` if so. */
type Made = { owner: number; isDone: boolean; isCompleted: boolean; isDeleted: boolean }

const ANSWER_LIMIT_MS = 5_500

/** `users`: of a service whose database is behind the proxy. */
export const service =
  (users: User[], isReady: () => Promise<boolean>): Level =>
  async (world, seed, random) => {
    const isRough = random.chance(0.5)
    planBy(world, seed, isRough)
    const problems: string[] = []
    const made = new Map<string, Made>()
    const owners = new Map<string, number>()
    /** What may be asked for by its id. */
    const known: { user: User; title: string; id: number }[] = []
    let count = 0

    /** The answer, if it is no refusal by a database that is away. */
    const ask = async (name: string, request: Promise<Answer>, expected: number) => {
      const start = performance.now()
      const { status, body, text } = await request
      const took = performance.now() - start
      if (took > ANSWER_LIMIT_MS) problems.push(`${name} took ${Math.round(took)} ms`)
      if (status === expected) return body
      // A batch is a transaction, of which nothing is sent anew.
      const isExplained = status === 503 && (isRough || name === "batch")
      if (!isExplained) problems.push(`${name} was answered ${status}: ${text.slice(0, 200)}`)
      return undefined
    }
    const expectTodo = (name: string, body: unknown, title: string) => {
      const todo = body as Todo
      const isCompleted = made.get(title)?.isCompleted
      const isOther = isCompleted !== undefined && todo.is_completed !== isCompleted
      if (todo.title !== title || isOther)
        problems.push(`${name} of ${title} (${isCompleted}) got ${JSON.stringify(todo)}`)
    }
    const begin = (user: User) => {
      const title = `${seed}-${count++}`
      const todo = {
        owner: user.id,
        isDone: false,
        isCompleted: random.chance(0.5),
        isDeleted: false,
      }
      made.set(title, todo)
      owners.set(title, user.id)
      return { title, todo, body: { title, is_completed: todo.isCompleted } }
    }
    const create = async (user: User) => {
      const { title, todo, body } = begin(user)
      const key = random.chance(0.5) ? { "idempotency-key": title } : undefined
      let answer = await ask("create", user.post("/todos", body, key), 201)
      if (!answer && key) {
        world.proxy.use([])
        await Bun.sleep(100)
        answer = await ask("create again", user.post("/todos", body, key), 201)
      }
      if (!answer) return
      todo.isDone = true
      expectTodo("create", answer, title)
      known.push({ user, title, id: (answer as Todo).id })
    }
    const batch = async (user: User) => {
      const todos = Array.from({ length: 3 }, () => begin(user))
      const operations = todos.map(({ body }) => ({ op: "create", todo: body }))
      const answer = await ask("batch", user.post("/todos/batch", { operations }), 200)
      if (!answer) return
      const { results } = answer as { results: { todo: Todo }[] }
      for (const [n, { title, todo }] of todos.entries()) {
        todo.isDone = true
        expectTodo("batch", results[n]?.todo, title)
        known.push({ user, title, id: results[n]?.todo.id ?? 0 })
      }
    }
    /** One that nothing else is asked of meanwhile. */
    const takeKnown = () => known.splice(random.below(known.length), 1)[0]
    const read = async () => {
      const some = takeKnown()
      if (!some) return
      const answer = await ask("get", some.user.get(`/todos/${some.id}`), 200)
      if (answer) expectTodo("get", answer, some.title)
      known.push(some)
    }
    const list = async (user: User) => {
      const answer = await ask("list", user.get("/todos?limit=20"), 200)
      for (const todo of (answer ?? []) as Todo[])
        if (todo.title.startsWith(`${seed}-`) && owners.get(todo.title) !== user.id)
          problems.push(`the list of ${user.id} has ${JSON.stringify(todo)}`)
    }
    /** The last that is asked of a todo: it is not known any more. */
    const finish = async () => {
      const some = takeKnown()
      if (!some) return
      const todo = made.get(some.title)
      if (!todo) return
      if (random.chance(0.5)) {
        // Whether it is done is not known if it fails.
        made.delete(some.title)
        const isCompleted = !todo.isCompleted
        const change = some.user.patch(`/todos/${some.id}`, { is_completed: isCompleted })
        const answer = await ask("patch", change, 200)
        if (!answer) return
        made.set(some.title, { ...todo, isCompleted })
        expectTodo("patch", answer, some.title)
      } else {
        made.delete(some.title)
        const answer = await ask("delete", some.user.delete(`/todos/${some.id}`), 204)
        if (answer !== undefined) made.set(some.title, { ...todo, isDeleted: true })
      }
    }
    for (let round = 3 + random.below(3); round > 0; round--) {
      const asked = Array.from({ length: 2 + random.below(8) }, () => {
        const user = random.oneOf(users) ?? users[0]
        if (!user) throw new Error("there is no user")
        return random.oneOf([create, create, batch, read, list, finish])?.(user)
      })
      const disturbing = disturb(world, random, isRough)
      await Promise.all(asked)
      await disturbing
    }
    world.proxy.use([])
    const deadline = performance.now() + 1_000
    while (!(await isReady()))
      if (performance.now() > deadline) {
        problems.push("the service is not ready")
        break
      }
    const rows = await world.admin<{ title: string; is_completed: boolean; owner: number }[]>`
      select title, is_completed, owner_id as owner
      from todos
      where starts_with(title, ${`${seed}-`})`
    for (const [title, todo] of made) {
      const found = rows.filter((row) => row.title === title)
      const isRight = found.every(
        ({ is_completed, owner }) => is_completed === todo.isCompleted && owner === todo.owner,
      )
      const most = todo.isDeleted ? 0 : 1
      const least = todo.isDone && !todo.isDeleted ? 1 : 0
      if (!isRight || found.length > most || found.length < least)
        problems.push(`${title} ${JSON.stringify(todo)} is stored as ${JSON.stringify(found)}`)
    }
    return problems
  }
