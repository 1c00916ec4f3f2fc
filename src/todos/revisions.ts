/** The parts of every write: writes of an owner run one after the other, and each increments the revision. */
import { createLimiter, type Limiter } from "../concurrency/limiter.ts"
import { isLockTimeout, isNullRefused, poolExhausted } from "../database/errors.ts"
import type { Sql, Value, Waiting } from "../database/sql.ts"
import type { Client } from "../http/client-address.ts"
import { Problem } from "../http/problem.ts"

export type Turns = Limiter<number>

/**
 * The owner's turn: an instance makes one write of an owner at a time. The others would only wait for its
 * lock, each on a connection of its own.
 */
export const createTurns = (): Turns =>
  createLimiter({
    perKey: 1,
    waitMs: 3_500,
    refuse: poolExhausted,
  })

/** Whose todos are written, and the client, which may leave while it waits for the turn. */
export type Writer = { caller: { userId: number }; client?: Pick<Client, "signal"> }

/** A write whose turn it is. The options are for its statements: their time limit counts from when it came. */
export type Turn = { sql: Sql; ownerId: number; options: Waiting & { prepare: true } }

export const inTurn = <Result>(
  { sql, turns }: { sql: Sql; turns: Turns },
  { caller: { userId }, client }: Writer,
  write: (turn: Turn) => Promise<Result>,
): Promise<Result> => {
  const signal = client && (() => client.signal)
  const options = { prepare: true as const, askedAt: performance.now(), signal }
  return turns.run(userId, () => write({ sql, ownerId: userId, options }), { signal })
}

/** How long to wait for a lock while others wait behind. */
const SHORT_WAIT = "50ms"

/**
 * A write waits for those that other instances make of the owner's todos. In its text, `$1` is the owner and
 * `$2` is how long it waits for locks. At first that is short. If another transaction takes longer, the
 * statement is tried again on a connection of its own, where nobody waits behind it.
 */
export const writing = async <Row extends object>(
  { sql, ownerId, options }: Turn,
  text: string,
  values: Value[],
): Promise<Row[]> => {
  try {
    return await sql.pipelined.unsafe<Row[]>(text, [ownerId, SHORT_WAIT, ...values], options)
  } catch (error) {
    if (!isLockTimeout(error)) throw error
    return sql.unsafe<Row[]>(text, [ownerId, "0", ...values], options)
  }
}

/** Always true. It limits how long the statement waits for locks, if evaluated before the first one. */
export const LIMITED_WAIT = "set_config('lock_timeout', $2, true) <> ''"

type Counting = {
  /** How many todos are added. */
  added?: string
  /** The placeholder of the limit that they are refused beyond. Its value is null without a limit. */
  max?: string
}

/**
 * Increments the owner's revision if `condition` holds, counts the owner's todos, and locks both until the
 * commit. It is the last lock of every write, so that writes do not deadlock. Beyond the limit the count is
 * null, which the table refuses, together with everything else that the statement does.
 */
export const nextRevision = (condition: string, { added = "0", max }: Counting = {}) => {
  const todos = `known.todos + ${added}`
  return `
    insert into revisions as known (owner_id, revision, todos)
    select $1::bigint, 1, greatest(${added}, 0)
    ${condition}
    on conflict on constraint revisions_pkey do update
    set revision = known.revision + 1,
      todos = ${max ? `case when coalesce(${todos} <= ${max}::bigint, true) then ${todos} end` : todos}
    returning revision`
}

export const quotaExceeded = (max: number | undefined) =>
  new Problem("QUOTA_EXCEEDED", `A user has at most ${max} todos: delete some first`)

export const isBeyondQuota = (error: unknown) => isNullRefused(error, "revisions", "todos")
