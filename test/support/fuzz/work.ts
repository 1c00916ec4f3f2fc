/** What a seed asks of a connection or a pool, and whether it was answered rightly. */
import { Readable } from "node:stream"
import { finished, pipeline } from "node:stream/promises"
import type { Statements, Value } from "../../../src/database/sql.ts"
import type { Random } from "../simulation/random.ts"

const PREPARED = { prepare: true }

/** Longer than any limit of the pool. */
const HANGS_MS = 6_000

export type Tags = {
  /** One for each statement. */
  tag: () => Statements
  /** Whether the server runs statements in the order in which they are asked. */
  isOrdered: () => boolean
  begin: (work: (transaction: Statements) => Promise<unknown>) => Promise<unknown>
}

/** Whether the faults of the seed explain an error, of a transaction or of a statement. */
type MayFail = (error: unknown, isOfTransaction: boolean) => boolean

export const codeOf = (error: unknown) =>
  error instanceof Error && "code" in error ? String(error.code) : String(error)

const shown = (value: unknown) => String(JSON.stringify(value)).slice(0, 120)

export const createWork = (
  random: Random,
  { tag, isOrdered, begin }: Tags,
  seed: number,
  mayFail: MayFail,
) => {
  const problems: string[] = []
  const pending = new Set<Promise<unknown>>()
  /** What is to be in the table: how often, once it was answered, and whether it was. */
  const writes = new Map<string, { rows: number; isDone: boolean }>()
  let count = 0
  const large = "y".repeat(random.chance(0.25) ? 200_000 : 40)

  /** `expected`: an error that the statement has to fail by. */
  const ask = (
    name: string,
    asked: Promise<unknown>,
    wrong: (answer: never) => boolean,
    expected?: RegExp,
  ) => {
    const label = `${name} ${count++}`
    const late = Promise.withResolvers<never>()
    const timer = setTimeout(late.reject, HANGS_MS, new Error("it hangs"))
    const settled = Promise.race([asked, late.promise]).then(
      (answer) => {
        if (expected) problems.push(`${label} did not fail: ${shown(answer)}`)
        else if (wrong(answer as never)) problems.push(`${label} got ${shown(answer)}`)
      },
      (error) => {
        const isOfTransaction = ["transaction", "part", "undone", "unnoticed"].includes(name)
        const isExpected = expected?.test(codeOf(error)) || mayFail(error, isOfTransaction)
        if (!isExpected) problems.push(`${label} failed: ${codeOf(error)} ${error.message}`)
      },
    )
    const over = settled.finally(() => {
      clearTimeout(timer)
      pending.delete(over)
    })
    pending.add(over)
    return over
  }
  const query = (
    name: string,
    text: string,
    values: Value[],
    wrong: (rows: Record<string, unknown>[]) => boolean,
    expected?: RegExp,
  ) => {
    const before = structuredClone(values)
    const isWrong = (rows: Record<string, unknown>[]) =>
      !Bun.deepEquals(values, before) || wrong(rows)
    return ask(name, Promise.resolve(tag().unsafe(text, values, PREPARED)), isWrong, expected)
  }

  const insert = (transaction: Statements, nonce: string, part: number) =>
    transaction.unsafe<{ nonce: string }[]>(
      "insert into written (nonce, part) values ($1, $2) returning nonce",
      [nonce, part],
      PREPARED,
    )

  const operations = {
    echo: (n: number) =>
      query(
        "echo",
        "select $1::integer as n, $2::text as text",
        [n, large],
        (rows) => rows.length !== 1 || rows[0]?.["n"] !== n || rows[0]["text"] !== large,
      ),
    types: (n: number) =>
      query(
        "types",
        "select $1::boolean as a, $2::boolean as b, $3::text as c, $4::bytea as d, $5::bigint as e, $6::boolean as f",
        [true, false, null, new Uint8Array([n % 256, 0]), n, "true"],
        ([row]) =>
          row?.["a"] !== true ||
          row["b"] !== false ||
          row["f"] !== true ||
          row["c"] !== null ||
          (row["d"] as Uint8Array)[0] !== n % 256 ||
          Number(row["e"]) !== n,
      ),
    rows: (n: number) =>
      query(
        "rows",
        "select g + $1::integer as n from generate_series(1, $2::integer) as g",
        [n, 40],
        (rows) => rows.length !== 40 || rows.some((row, index) => row["n"] !== n + index + 1),
      ),
    none: (n: number) =>
      query("none", "select 1 as none where $1::integer is null", [n], (rows) => rows.length > 0),
    /** Of a table whose columns change meanwhile. */
    stored: (n: number) => {
      const id = 1 + (n % 50)
      return query(
        "stored",
        "select * from stored where id = $1",
        [id],
        (rows) =>
          rows.length !== 1 || rows[0]?.["id"] !== id || rows[0]["title"] !== `title of ${id}`,
      )
    },
    changed: (n: number) => {
      const id = 1 + (n % 50)
      const text = "update stored set done = $2 where id = $1 returning *"
      const isDone = n % 2 === 0
      return query("changed", text, [id, isDone], (rows) => rows[0]?.["done"] !== isDone)
    },
    /** Of two at once the second stays. The columns of the first one change. */
    ordered: (n: number) => {
      if (!isOrdered()) return
      const own = tag()
      const id = 51 + (n % 1_000)
      const set = (isDone: boolean, returning: string) => {
        const text = `update stored set done = $1 where id = $2 ${returning}`
        return own.unsafe(text, [isDone, id], PREPARED)
      }
      const stored = async () => {
        await Promise.all([set(true, "returning *"), set(false, "")])
        return own.unsafe("select done from stored where id = $1", [id], PREPARED)
      }
      return ask("ordered", stored(), ([row]: Record<string, unknown>[]) => row?.["done"] !== false)
    },
    written: (n: number) => {
      const nonce = `${seed}-${n}`
      const write = { rows: 1, isDone: false }
      writes.set(nonce, write)
      return ask(
        "written",
        Promise.resolve(insert(tag(), nonce, 1)),
        (rows: { nonce: string }[]) => {
          write.isDone = true
          return rows.length !== 1 || rows[0]?.nonce !== nonce
        },
      )
    },
    transaction: (n: number) => {
      const nonce = `${seed}-${n}`
      const write = { rows: 2, isDone: false }
      writes.set(nonce, write)
      const isParallel = random.chance(0.3)
      let late: Statements | undefined
      const whole = begin(async (transaction) => {
        late = transaction
        const read = () =>
          transaction.unsafe<{ nonce: string }[]>(
            "select $1::text as nonce, $2::text as large",
            [nonce, large],
            PREPARED,
          )
        const write1 = () => insert(transaction, nonce, 1)
        const write2 = () => insert(transaction, nonce, 2)
        const steps = [write1, read, read, read, write2]
        const parallel = isParallel ? steps.map((step) => step()) : []
        for (const part of parallel) ask("part", part, () => false)
        const answers = await Promise.all(parallel)
        for (const step of isParallel ? [] : steps) answers.push(await step())
        for (const rows of answers)
          if (rows.length !== 1 || rows[0]?.nonce !== nonce)
            problems.push(`transaction ${n} got ${shown(rows)}`)
        return "committed"
      })
      const over = ask("transaction", whole, (answer: string) => {
        write.isDone = true
        return answer !== "committed"
      })
      return over.then(() => {
        if (!late || random.chance(0.5)) return
        const after = Promise.resolve(insert(late, `${nonce} late`, 1))
        return ask("late", after, () => true, /./)
      })
    },
    /** Fails before its rows, in the middle of them, or after them. */
    failing: (n: number) => {
      const fail = "select 1 / (g - $1::integer) as n from generate_series(1, 40) as g"
      const [name, text, values, expected] = random.oneOf<[string, string, Value[], RegExp]>([
        ["before", "select $1::integer as n from nowhere", [n], /42P01/],
        ["while built", "select $1::integer as n", [undefined as never], /UNDEFINED_VALUE/],
        ["value", "select $1::integer as n", ["no number"], /22P02/],
        ["in the middle of", fail, [1 + (n % 40)], /22012/],
        ["after", "insert into once (id) values ($1), ($1) returning id", [n], /23505/],
      ]) ?? ["", "", [], /./]
      return query(`failing ${name}`, text, values, () => true, expected)
    },
    /** One that nobody waits for fails, and the transaction with it. */
    unnoticed: (n: number) =>
      ask(
        "unnoticed",
        begin(async (transaction) => {
          await insert(transaction, `${seed}-${n} unnoticed`, 1)
          transaction.unsafe("select 1 / $1::integer", [0], PREPARED).catch(() => {})
        }),
        () => true,
        /ROLLED_BACK|22012/,
      ),
    undone: (n: number) =>
      ask(
        "undone",
        begin(async (transaction) => {
          await insert(transaction, `${seed}-${n} undone`, 1)
          throw Object.assign(new Error("undone"), { code: "UNDONE" })
        }),
        () => true,
        /UNDONE/,
      ),
  }

  /** `isFollowed`: another is asked for while it ends. */
  const copyIn = (isFollowed: boolean): Promise<unknown> => {
    const nonce = `${seed}-${count} copied`
    const isFailing = random.chance(0.3)
    const write = { rows: isFailing ? 0 : 30, isDone: false }
    writes.set(nonce, write)
    const lines = Array.from({ length: 30 }, (_, part) => `${nonce}\t${part}\n`)
    if (isFailing) lines.push(`${nonce}\tno number\n`)
    const copy = async () => {
      const writer = await tag().unsafe("copy written (nonce, part) from stdin").writable()
      if (!isFollowed) return pipeline(Readable.from(lines), writer)
      const over = finished(writer)
      writer.end(lines.join(""))
      await new Promise(setImmediate)
      copyIn(false)
      return over
    }
    const isWrong = () => {
      write.isDone = true
      return false
    }
    return ask("copy in", copy(), isWrong, isFailing ? /22P02/ : undefined)
  }

  return {
    problems,
    writes,
    operations,
    ask,
    /** Starts one operation. */
    next: () => random.oneOf(Object.values(operations))?.(seed * 1_000 + count),
    copyIn,
    /** It may fail in the middle, or its reader leave it there. */
    copyOut: (isLeft: boolean) => {
      const rows = isLeft ? 3_000 : 1 + random.below(300)
      const failing = !isLeft && random.chance(0.3) ? 1 + random.below(rows) : 0
      const text = `copy (
        select repeat('x', 999 + 0 / (n - ${failing})) from generate_series(1, ${rows}) as n
      ) to stdout`
      const copy = async () => {
        let length = 0
        for await (const chunk of await tag().unsafe(text).readable()) {
          length += chunk.length
          if (isLeft) break
          if (random.chance(0.1)) await Bun.sleep(1)
        }
        return length
      }
      const isWrong = (length: number) => !isLeft && length !== rows * 1_000
      return ask("copy out", copy(), isWrong, failing > 0 ? /22012/ : undefined)
    },
    /** Until all that was asked is answered. */
    async settled() {
      while (pending.size > 0) await Promise.all(pending)
    },
  }
}

export type Work = ReturnType<typeof createWork>

/** The tables of the statements. */
export const SCHEMA = `
  create table written (nonce text not null, part integer not null);
  create index on written (nonce);
  create table once (id integer, unique (id) deferrable initially deferred);
  create table stored (id integer primary key, done boolean, title text, n integer);
  insert into stored select n, false, 'title of ' || n, 0 from generate_series(1, 1050) as n`

/** What was answered is in the table, what failed is there once at most, and nothing else is. */
export const checkWrites = async (admin: Statements, seed: number, work: Work) => {
  const rows = await admin<{ nonce: string; count: number }[]>`
    delete from written
    where starts_with(nonce, ${`${seed}-`})
    returning nonce, 1 as count`
  const found = new Map<string, number>()
  for (const { nonce } of rows) found.set(nonce, (found.get(nonce) ?? 0) + 1)
  for (const [nonce, write] of work.writes) {
    const count = found.get(nonce) ?? 0
    found.delete(nonce)
    const isRight = count === write.rows || (count === 0 && !write.isDone)
    if (!isRight) work.problems.push(`${nonce} is there ${count} times (${shown(write)})`)
  }
  for (const [nonce, count] of found) work.problems.push(`${nonce} is there ${count} times`)
}
