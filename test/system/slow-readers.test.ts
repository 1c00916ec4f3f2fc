/** Clients that read slowly: a phone in a tunnel, a script that works on what it reads. */
import { expect, test } from "bun:test"
import { connect } from "node:net"
import { insertAccount } from "../support/accounts.ts"
import { startApp } from "../support/app.ts"
import { rawRequest } from "../support/raw.ts"
import { insertMany } from "../support/rows.ts"
import { openSql } from "../support/sql.ts"

/** More than the buffers of both ends hold. */
const TODOS = 20_000
/** Longer than the 30 seconds after which a connection is closed by default. */
const PAUSE_MS = 45_000
/** Of a response in chunks. */
const END = "\r\n0\r\n\r\n"

/** Reads a little, then nothing for a while, then the rest. Resolves to the bytes of all chunks. */
const readSlowly = (url: string, path: string, token: string) =>
  new Promise<string>((resolve) => {
    const socket = connect(Number(new URL(url).port), "127.0.0.1")
    let received = ""
    socket.once("data", () => {
      socket.pause()
      setTimeout(() => socket.resume(), PAUSE_MS)
    })
    socket.on("data", (bytes) => {
      received += bytes.toString("latin1")
      if (received.endsWith(END)) socket.destroy()
    })
    socket.on("error", () => {})
    socket.on("close", () => resolve(received))
    socket.write(rawRequest(`GET /api/v1${path}`, { Authorization: `Bearer ${token}` }))
  })

test("a list and an export reach a client whole that takes nothing for most of a minute", async () => {
  await using app = await startApp()
  const sql = openSql(app.databaseUrl)
  const ada = await insertAccount(app, sql)
  await insertMany(sql, ada.id, TODOS, { description: "repeat('x', 900)" })
  await sql.end()
  const bodies = await Promise.all(
    ["/todos", "/users/me/export"].map((path) => readSlowly(app.url, path, ada.token)),
  )
  for (const body of bodies) {
    expect(body.slice(-END.length)).toBe(END)
    const json = body.replaceAll(/\r\n[\da-f]+\r\n/g, "")
    expect(json.match(/"title":"todo /g)).toHaveLength(TODOS)
  }
}, 600_000)
