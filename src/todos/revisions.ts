/** The parts of every change: changes of an owner run one after the other, and each increments the revision. */
import type { Sql, Value } from "../database/connect.ts"
import { isLockTimeout } from "../database/errors.ts"

/**
 * A change waits for other changes of the owner's todos to commit. In its text, `$1` is the owner and `$2`
 * is how long it waits for locks. At first that is short. If another transaction takes longer, the
 * statement is tried again on a connection of its own, where nobody waits behind it.
 */
export const changing = async <Row extends object>(
  sql: Sql,
  ownerId: number,
  text: string,
  values: Value[],
): Promise<Row[]> => {
  try {
    return await sql.inLane<Row>(ownerId, text, [ownerId, "50ms", ...values], true)
  } catch (error) {
    if (!isLockTimeout(error)) throw error
    return sql.inLane<Row>(ownerId, text, [ownerId, "0", ...values], false)
  }
}

/** Always true. It limits how long the statement waits for locks, if evaluated before the first one. */
export const LIMITED_WAIT = "set_config('lock_timeout', $2, true) <> ''"

type Counting = {
  /** The placeholder of the revision beyond which no todo may be added. Its value is null without a limit. */
  room?: string
  added?: string
  steps?: string
}

const counted = (from: string, { room, added = "1", steps = "1" }: Counting) =>
  room === undefined
    ? `${from} + ${steps}`
    : `case when coalesce(${from} + ${added} <= ${room}::bigint, true) then ${from} + ${steps} end`

/**
 * Increments the owner's revision if `condition` holds, and locks it until the commit. It is the last lock
 * of every change, so that changes do not deadlock. If there is no room, it violates a constraint:
 * quota/quota.ts relies on the fact that a step adds at most one todo.
 */
export const nextRevision = (condition: string, counting: Counting = {}) => `
  insert into revisions as known (owner_id, revision)
  select $1::bigint, ${counted("0::bigint", counting)}
  ${condition}
  on conflict on constraint revisions_pkey do update
  set revision = ${counted("known.revision", counting)}
  returning revision`
