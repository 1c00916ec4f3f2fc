/** What a user would write with Fastify on Node, by its documentation: JSON schemas, @fastify/jwt. */
import jwt from "@fastify/jwt"
import Fastify from "fastify"
import postgres from "postgres"

const { DATABASE_URL = "", SECRET_KEY = "", PORT } = process.env
const { searchParams, password } = new URL(DATABASE_URL)
const host = searchParams.get("host")
const sql = postgres(host ? { host, username: "todo", password, database: "todo" } : DATABASE_URL)

const title = { type: "string", minLength: 1, maxLength: 254, pattern: "\\S" }
const description = { type: ["string", "null"], maxLength: 999 }
const is_completed = { type: "boolean" }
const members = { title, description, is_completed }
const todo = {
  type: "object",
  properties: {
    id: { type: "integer" },
    ...members,
    created_at: { type: "string", format: "date-time" },
    updated_at: { type: "string", format: "date-time" },
  },
}
const params = { type: "object", properties: { id: { type: "integer", minimum: 1 } } }
const limit = { type: "integer", minimum: 1, maximum: 1000, default: 50 }

const columns = ["id", "title", "description", "is_completed", "created_at", "updated_at"]

const app = Fastify()
app.register(jwt, { secret: SECRET_KEY, verify: { algorithms: ["HS256"] } })
app.addHook("onRequest", (request) => request.jwtVerify())

const found = (row) => {
  if (!row) throw Object.assign(new Error("Todo not found"), { statusCode: 404 })
  return row
}

app.get(
  "/api/v1/todos",
  {
    schema: {
      querystring: { type: "object", properties: { limit } },
      response: { 200: { type: "array", items: todo } },
    },
  },
  ({ user, query }) => sql`
    select ${sql(columns)}
    from todos
    where owner_id = ${user.sub}
    order by created_at, id
    limit ${query.limit}`,
)

app.post(
  "/api/v1/todos",
  {
    schema: {
      body: { type: "object", required: ["title"], properties: members },
      response: { 201: todo },
    },
  },
  async ({ user, body: { title, description = null, is_completed = false } }, reply) => {
    const [row] = await sql`
      insert into todos ${sql({ owner_id: user.sub, title, description, is_completed, revision: 1 })}
      returning ${sql(columns)}`
    return reply.code(201).send(row)
  },
)

app.get(
  "/api/v1/todos/:id",
  { schema: { params, response: { 200: todo } } },
  async ({ user, params }) => {
    const [row] = await sql`
      select ${sql(columns)}
      from todos
      where owner_id = ${user.sub}
        and id = ${params.id}`
    return found(row)
  },
)

app.put(
  "/api/v1/todos/:id",
  {
    schema: {
      params,
      body: { type: "object", additionalProperties: false, properties: members },
      response: { 200: todo },
    },
  },
  async ({ user, params, body }) => {
    const [row] = await sql`
      update todos
      set ${sql(body)}, version = version + 1, updated_at = now()
      where owner_id = ${user.sub}
        and id = ${params.id}
      returning ${sql(columns)}`
    return found(row)
  },
)

app.delete("/api/v1/todos/:id", { schema: { params } }, async ({ user, params }, reply) => {
  const [row] = await sql`
    delete from todos
    where owner_id = ${user.sub}
      and id = ${params.id}
    returning id`
  found(row)
  return reply.code(204).send()
})

await app.listen({ host: "127.0.0.1", port: Number(PORT) })
