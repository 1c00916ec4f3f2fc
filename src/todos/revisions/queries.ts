/** How all changes of an owner's todos wait for each other, and count the owner's revision up. */
import type { Sql, Value } from "../../database/connection.ts"
import { isLockTimeout } from "../../database/errors.ts"

/**
 * A change waits until whoever changes the same todo, or another one of the owner, has committed.
 * In its text `$1` is the owner, and `$2` for how long it waits. That is brief, unless a transaction
 * goes on for longer: then the statement is given up, and made again on a connection of its own,
 * where nobody waits behind it.
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

/** A condition that is true. Evaluated before a statement locks a row, it limits how long it waits. */
export const LIMITED_WAIT = "set_config('lock_timeout', $2, true) <> ''"

type Counting = {
  /** What stands for the revision beyond which no todo may be added: null where there is none. */
  room?: string
  added?: string
  steps?: string
}

const counted = (from: string, { room, added = "1", steps = "1" }: Counting) =>
  room === undefined
    ? `${from} + ${steps}`
    : `case when coalesce(${from} + ${added} <= ${room}::bigint, true) then ${from} + ${steps} end`

/**
 * Counts the owner's revision up where `condition` holds, and locks it until the commit. It is
 * the last lock that a change asks for, so that no two changes wait for each other. Where there is
 * no room it breaks a constraint: quota/quota.ts relies on no more than one new todo a step.
 */
export const nextRevision = (condition: string, counting: Counting = {}) => `
  insert into revisions as known (owner_id, revision)
  select $1::bigint, ${counted("0::bigint", counting)}
  ${condition}
  on conflict on constraint revisions_pkey do update
  set revision = ${counted("known.revision", counting)}
  returning revision`

/** True. Tells the trigger on deletions that the statement counts the revision itself. */
export const COUNTING = "set_config('todo_api.counts', 'true', true) <> ''"
