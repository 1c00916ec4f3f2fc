/** Asks a host of the database whether it is suitable, and on which timeline it is. */
import type postgres from "postgres"
import type { Target } from "../config/database-url.ts"
import { openConnection } from "./driver.ts"
import { mayPass, noWritableHost } from "./errors.ts"

const ANSWER_LIMIT_MS = 2_000

/** The timeline rises with each promotion. Timelines of different systems cannot be compared. */
export type History = { system: string; timeline: number }
/** `isSynchronous`: a commit waits for a standby there, so that its loss takes none with it. */
export type Report =
  | { isSuitable: true; history: History | undefined; isSynchronous: boolean }
  | { isSuitable: false; reason: unknown }

const targets: Record<Target, (state: { standby: boolean; readOnly: boolean }) => boolean> = {
  any: () => true,
  primary: ({ standby }) => !standby,
  "read-write": ({ readOnly }) => !readOnly,
}

/** Undefined if the host does not say, as with some hosted services. */
const historyOf = async (sql: postgres.Sql): Promise<History | undefined> => {
  try {
    const [history] = await sql<{ system: string; timeline: string }[]>`
      select
        (select system_identifier from pg_control_system()) as system,
        substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) as timeline
    `.simple()
    return history && { ...history, timeline: Number.parseInt(history.timeline, 16) }
  } catch (error) {
    if (mayPass(error)) throw error
    return undefined
  }
}

const ask = async (sql: postgres.Sql, target: Target): Promise<Report> => {
  const [state] = await sql<{ standby: boolean; readOnly: boolean; isSynchronous: boolean }[]>`
    select
      pg_is_in_recovery() as standby,
      current_setting('transaction_read_only')::bool as "readOnly",
      current_setting('synchronous_standby_names') <> ''
        and current_setting('synchronous_commit') not in ('local', 'off') as "isSynchronous"
  `.simple()
  if (!state || !targets[target](state)) return { isSuitable: false, reason: undefined }
  const { standby, isSynchronous } = state
  return { isSuitable: true, history: standby ? undefined : await historyOf(sql), isSynchronous }
}

export const createProbe = (url: string, target: Target) => {
  let sql: postgres.Sql | undefined
  const close = () => {
    sql?.end({ timeout: 0 }).catch(() => {})
    sql = undefined
  }
  const open = () => {
    const opened = openConnection(url, {
      connect_timeout: ANSWER_LIMIT_MS / 1_000,
      onclose: () => {
        if (sql === opened) sql = undefined
      },
    })
    return opened
  }
  const probe = async (): Promise<Report> => {
    sql ??= open()
    const late = Bun.sleep(ANSWER_LIMIT_MS).then(() => {
      throw noWritableHost(new Error("It did not answer"))
    })
    try {
      return await Promise.race([ask(sql, target), late])
    } catch (reason) {
      close()
      return { isSuitable: false, reason }
    }
  }
  return { probe, close }
}
