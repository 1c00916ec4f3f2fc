/**
 * The floor: what the same answers from the same statements cost in one file without a framework.
 * It does what the measured operations need, refuses what a careful hand would, and no more.
 */
import { createHmac, randomUUID, timingSafeEqual } from "node:crypto"
import { STATUS_CODES } from "node:http"
import postgres from "postgres"
import { findCredentials, lockPassword, rememberAddress } from "../../src/accounts/credentials.ts"
import { insertSession } from "../../src/accounts/sessions/queries.ts"
import { connectionOptions } from "../../src/config/database-url.ts"
import type { Sql } from "../../src/database/sql.ts"
import { joined } from "../../src/http/json-stream.ts"
import { readTodos } from "../../src/todos/changes/queries.ts"
import { createSyncTokens } from "../../src/todos/changes/sync-token.ts"
import { createOnce } from "../../src/todos/idempotency.ts"
import { createCursors, createListTags, type Position } from "../../src/todos/lists/cursor.ts"
import { listTodos, type Page } from "../../src/todos/lists/pages.ts"
import { EVERYTHING, listOf } from "../../src/todos/lists/parameters.ts"
import { findListState } from "../../src/todos/lists/queries.ts"
import {
  deleteTodo,
  findTodo,
  insertTodo,
  updateTodo,
  type Versioned,
} from "../../src/todos/queries.ts"

const { DATABASE_URL = "", SECRET_KEY = "", PORT } = process.env
const { connection, ...options } = connectionOptions(DATABASE_URL)
/** The statements use no more of it than its tag and its `unsafe`. */
const tag = postgres({
  ...options,
  max: 10,
  fetch_types: false,
  connection: { ...connection, TimeZone: "UTC", DateStyle: "ISO" },
  types: {
    id: { to: 20, from: [20], serialize: String, parse: Number },
    instant: {
      to: 1184,
      from: [1184],
      serialize: String,
      parse: (text: string) => new Date(text).toISOString(),
    },
  },
})
const sql = Object.assign(tag, { pipelined: tag }) as unknown as Sql
const cursors = createCursors([SECRET_KEY])
const tagOf = createListTags([SECRET_KEY])

const syncTokens = createSyncTokens([SECRET_KEY])

const LIST = listOf(EVERYTHING)
const left = () => new AbortController().signal

const REQUEST_ID = /^[A-Za-z0-9._-]{1,128}$/
const TODO_ID = /^\/api\/v1\/todos\/([1-9]\d{0,15})$/

class Refusal {
  constructor(
    readonly status: number,
    readonly error_code: string,
    readonly detail: string,
    readonly headers: Record<string, string> = {},
  ) {}
}

const notFound = () => new Refusal(404, "TODO_NOT_FOUND", "Todo not found or not owned by user")
const changedMeanwhile = () =>
  new Refusal(412, "PRECONDITION_FAILED", "The todo has another version than If-Match names")
const invalidToken = (detail: string) =>
  new Refusal(401, "UNAUTHORIZED", detail, {
    "www-authenticate": `Bearer error="invalid_token", error_description="${detail}"`,
  })

const authenticate = (request: Request): number => {
  const token = request.headers.get("authorization")?.match(/^bearer +(\S.*)$/i)?.[1]
  if (!token)
    throw new Refusal(401, "UNAUTHORIZED", "A bearer token is required", {
      "www-authenticate": "Bearer",
    })
  const [header = "", payload = "", signature = "", ...rest] = token.split(".")
  const expected = createHmac("sha256", SECRET_KEY).update(`${header}.${payload}`).digest()
  const given = Buffer.from(signature, "base64url")
  if (rest.length > 0 || given.length !== expected.length || !timingSafeEqual(given, expected))
    throw invalidToken("The token is invalid")
  const { alg } = JSON.parse(Buffer.from(header, "base64url").toString())
  const { sub, exp } = JSON.parse(Buffer.from(payload, "base64url").toString())
  if (alg !== "HS256" || !/^[1-9]\d{0,15}$/.test(sub)) throw invalidToken("The token is invalid")
  if (!(exp > Date.now() / 1000)) throw invalidToken("The token has expired")
  return Number(sub)
}

type Body = { title: string; description?: string | null; is_completed?: boolean }

const isTitle = (value: unknown) =>
  typeof value === "string" && value.trim() !== "" && value.length < 255
const isDescription = (value: unknown) =>
  value === null || (typeof value === "string" && value.length < 1000)

const readJson = async (request: Request) => {
  if (!request.headers.get("content-type")?.startsWith("application/json"))
    throw new Refusal(415, "UNSUPPORTED_MEDIA_TYPE", "Content-Type must be application/json")
  if (Number(request.headers.get("content-length")) > 65_536)
    throw new Refusal(413, "PAYLOAD_TOO_LARGE", "The body is too large")
  return (await request.json()) as Record<string, unknown>
}

const readBody = async (request: Request): Promise<Body> => {
  const body = await readJson(request)
  const { title, description, is_completed } = body
  if (
    (title !== undefined && !isTitle(title)) ||
    (description !== undefined && !isDescription(description)) ||
    (is_completed !== undefined && typeof is_completed !== "boolean")
  )
    throw new Refusal(400, "BAD_REQUEST", "The request breaks rules of this API; see errors")
  return body as Body
}

type Headers = Record<string, string>

const answer = ({ version, ...todo }: Versioned, headers: Headers, status = 200): Response => {
  headers["etag"] = `"${version}"`
  return Response.json(todo, { status, headers })
}

const logIn = async (request: Request, headers: Headers) => {
  const { email, password } = await readJson(request)
  const address = "127.0.0.1"
  const user = await findCredentials(sql, String(email), address)
  const hash = user?.password_hash
  if (!hash || !(await Bun.password.verify(String(password), hash)))
    throw new Refusal(401, "INVALID_CREDENTIALS", "Email or password is wrong")
  const expires_in = 1_800
  const client = { address, userAgent: request.headers.get("user-agent") }
  const lifetimes = { refresh: 30 * 86_400, access: expires_in, session: 365 * 86_400 }
  const { id } = await sql.begin(async (transaction) => {
    await lockPassword(transaction, user.id, hash)
    await rememberAddress(transaction, user.id, address)
    return insertSession(transaction, user.id, client, lifetimes)
  })
  const text = `${id}.1.${user.id}`
  const refresh_token = `${text}.${createHmac("sha256", SECRET_KEY).update(text).digest("base64url")}`
  const now = Math.floor(Date.now() / 1000)
  const claims = {
    sub: String(user.id),
    jti: `${id}.${randomUUID()}`,
    iat: now,
    exp: now + expires_in,
  }
  const signed = [{ alg: "HS256", typ: "JWT" }, claims]
    .map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"))
    .join(".")
  const access_token = `${signed}.${createHmac("sha256", SECRET_KEY).update(signed).digest("base64url")}`
  headers["cache-control"] = "no-store"
  return Response.json(
    { access_token, token_type: "bearer", expires_in, refresh_token },
    { headers },
  )
}

const list = async (
  owner: number,
  search: URLSearchParams,
  known: string | null,
  headers: Headers,
) => {
  if (known === "*") {
    headers["etag"] = tagOf(owner, await findListState(sql, owner))
    return new Response(null, { status: 304, headers })
  }
  const limit = Number(search.get("limit") ?? 1_000)
  const cursor = search.get("cursor")
  const after = cursor === null ? undefined : cursors.read(cursor, owner, LIST)
  const read = (after: Position | undefined) =>
    listTodos(sql, { ownerId: owner, selection: EVERYTHING, limit, after })
  const { todos, next, state = "" } = await read(after)
  headers["etag"] = tagOf(owner, state)
  headers["content-type"] = "application/json"
  if (next && !search.has("limit")) return new Response(whole(todos, next, read), { headers })
  if (next) {
    search.set("cursor", cursors.write(next, owner, LIST))
    headers["link"] = `</api/v1/todos?${search}>; rel="next"`
  }
  return new Response(joined(todos, "[", "]"), { headers })
}

async function* whole(
  first: Uint8Array[],
  start: Position,
  read: (after: Position) => Promise<Page>,
) {
  yield joined(first, "[")
  for (let after: Position | undefined = start; after; ) {
    const { todos, next }: Page = await read(after)
    yield joined(todos, ",")
    after = next
  }
  yield Buffer.from("]")
}

/** The first page alone. */
const changes = async (owner: number, search: URLSearchParams, headers: Headers) => {
  const limit = Number(search.get("limit"))
  const { head, last, highestId, ...read } = await readTodos(sql, owner, limit, { id: 0 }, left)
  const { epoch, revision } = head
  const hasMore = last !== undefined && last.id < highestId
  const next = syncTokens.write(
    hasMore
      ? { kind: "initial", revision, id: last.id, until: highestId }
      : { kind: "complete", revision },
    epoch,
    owner,
  )
  headers["content-type"] = "application/json"
  const end = `],"next":${JSON.stringify(next)},"has_more":${hasMore}}`
  return new Response(joined(read.changes, '{"changes":[', end), { headers })
}

const create = async (owner: number, request: Request, headers: Headers) => {
  const body = await readBody(request)
  const key = request.headers.get("idempotency-key")
  const turn = { sql, ownerId: owner, options: { prepare: true as const } }
  const { revision: _, ...row } = key
    ? await createOnce(turn, key, body, null)
    : await insertTodo(turn, body, null)
  headers["location"] = `/api/v1/todos/${row.id}`
  return answer(row, headers, 201)
}

const handle = async (request: Request, headers: Headers): Promise<Response> => {
  const { pathname, searchParams } = new URL(request.url)
  if (pathname === "/api/v1/auth/login") return logIn(request, headers)
  headers["cache-control"] = "private, no-cache"
  const owner = authenticate(request)
  if (pathname === "/api/v1/todos")
    return request.method === "POST"
      ? create(owner, request, headers)
      : list(owner, searchParams, request.headers.get("if-none-match"), headers)
  if (pathname === "/api/v1/todos/changes") return changes(owner, searchParams, headers)
  const id = Number(pathname.match(TODO_ID)?.[1])
  if (!Number.isSafeInteger(id)) throw notFound()
  const versions = request.headers.get("if-match")?.match(/\d+/g)?.map(Number)
  switch (request.method) {
    case "GET": {
      const row = await findTodo(sql, owner, id)
      if (!row) throw notFound()
      headers["etag"] = `"${row.version}"`
      return request.headers.get("if-none-match") === headers["etag"]
        ? new Response(null, { status: 304, headers })
        : answer(row, headers)
    }
    case "PUT": {
      const row = await updateTodo(
        { sql, ownerId: owner, options: { prepare: true } },
        id,
        await readBody(request),
        versions,
      )
      if (!row) throw notFound()
      const { is_expected, revision: _, ...todo } = row
      if (!is_expected) throw changedMeanwhile()
      return answer(todo, headers)
    }
    case "DELETE": {
      const row = await deleteTodo(
        { sql, ownerId: owner, options: { prepare: true } },
        id,
        versions,
        true,
      )
      if (!row) throw notFound()
      if (!row.is_expected) throw changedMeanwhile()
      return new Response(null, { status: 204, headers })
    }
    default:
      throw notFound()
  }
}

Bun.serve({
  hostname: "127.0.0.1",
  port: Number(PORT),
  async fetch(request) {
    const id = request.headers.get("x-request-id")
    const headers = {
      "x-request-id": id && REQUEST_ID.test(id) ? id : Bun.randomUUIDv7(),
      "x-content-type-options": "nosniff",
    }
    try {
      return await handle(request, headers)
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      const { status, detail, error_code } = error
      const timestamp = new Date().toISOString()
      const title = STATUS_CODES[status]
      return Response.json(
        { type: "about:blank", title, status, detail, error_code, timestamp },
        {
          status,
          headers: { ...headers, ...error.headers, "content-type": "application/problem+json" },
        },
      )
    }
  },
})
