/** A client that reads slowly, or not at all. */
import { connect } from "node:net"
import { rawRequest } from "./raw.ts"
import type { TestSql } from "./sql.ts"

/** The end of an answer in chunks. */
export const LAST_CHUNK = "\r\n0\r\n\r\n"

/** Until the service has not read for a while: then all sockets to its client are full. */
const untilFull = async (sql: TestSql) => {
  const reads = () => sql`
    select
    from pg_stat_activity
    where datname = current_database()
      and pid <> pg_backend_pid()
      and query like '%from todos%'
      -- This one, as another connection of the test last ran it.
      and query not like '%pg_stat_activity%'
      and (state = 'active' or state_change > clock_timestamp() - interval '200 milliseconds')`
  // Several times: another statement may hide one on the same connection.
  for (let quiet = 0; quiet < 4; quiet++) {
    if ((await reads()).count > 0) quiet = -1
    await Bun.sleep(50)
  }
}

/** A client that asks for a long answer and stops reading. (fetch reads on in the background.) */
export const openPaused = async (url: string, path: string, token: string, sql: TestSql) => {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  socket.on("error", () => {})
  // The service may reset it while nobody reads.
  const closed = new Promise((resolve) => socket.once("close", resolve))
  socket.setEncoding("utf8")
  socket.write(rawRequest(`GET /api/v1${path}`, { Authorization: `Bearer ${token}` }))
  let text = await Promise.race([
    new Promise<string>((resolve) => socket.once("data", resolve)),
    closed.then(() => ""),
  ])
  socket.pause()
  await untilFull(sql)
  return {
    socket,
    isOpen: text.startsWith("HTTP/1.1 200"),
    /** All that comes until the answer or the connection ends. */
    async rest() {
      socket.on("data", (data: string) => {
        text += data
        if (text.endsWith(LAST_CHUNK)) socket.end()
      })
      socket.resume()
      await closed
      return text
    },
  }
}
