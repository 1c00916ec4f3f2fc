/** What a user would write with Hono on Bun, by its documentation: hono/jwt, zod, postgres.js. */
import { zValidator } from "@hono/zod-validator"
import { Hono } from "hono"
import { HTTPException } from "hono/http-exception"
import { jwt } from "hono/jwt"
import postgres from "postgres"
import { z } from "zod"

const { DATABASE_URL = "", SECRET_KEY = "", PORT } = process.env
const { searchParams, password } = new URL(DATABASE_URL)
const host = searchParams.get("host")
const sql = postgres(host ? { host, username: "todo", password, database: "todo" } : DATABASE_URL)

const title = z.string().trim().min(1).max(254)
const description = z.string().max(999).nullable()
const newTodo = z.object({
  title,
  description: description.default(null),
  is_completed: z.boolean().default(false),
})
const changes = z.object({ title, description, is_completed: z.boolean() }).partial()
const params = z.object({ id: z.coerce.number().int().positive() })
const query = z.object({ limit: z.coerce.number().int().min(1).max(1000).default(50) })

const columns = ["id", "title", "description", "is_completed", "created_at", "updated_at"]
const withNumericId = (row) => ({ ...row, id: Number(row.id) })
const found = (row) => {
  if (!row) throw new HTTPException(404, { message: "Todo not found" })
  return withNumericId(row)
}

const app = new Hono().basePath("/api/v1")
app.use("/todos/*", jwt({ secret: SECRET_KEY, alg: "HS256" }))

app.get("/todos", zValidator("query", query), async (c) => {
  const { sub } = c.get("jwtPayload")
  const rows = await sql`
    select ${sql(columns)}
    from todos
    where owner_id = ${sub}
    order by created_at, id
    limit ${c.req.valid("query").limit}`
  return c.json(rows.map(withNumericId))
})

app.post("/todos", zValidator("json", newTodo), async (c) => {
  const { sub } = c.get("jwtPayload")
  const [row] = await sql`
    insert into todos ${sql({ owner_id: sub, revision: 1, ...c.req.valid("json") })}
    returning ${sql(columns)}`
  return c.json(found(row), 201)
})

app.get("/todos/:id", zValidator("param", params), async (c) => {
  const { sub } = c.get("jwtPayload")
  const [row] = await sql`
    select ${sql(columns)}
    from todos
    where owner_id = ${sub}
      and id = ${c.req.valid("param").id}`
  return c.json(found(row))
})

app.put("/todos/:id", zValidator("param", params), zValidator("json", changes), async (c) => {
  const { sub } = c.get("jwtPayload")
  const [row] = await sql`
    update todos
    set ${sql(c.req.valid("json"))}, version = version + 1, updated_at = now()
    where owner_id = ${sub}
      and id = ${c.req.valid("param").id}
    returning ${sql(columns)}`
  return c.json(found(row))
})

app.delete("/todos/:id", zValidator("param", params), async (c) => {
  const { sub } = c.get("jwtPayload")
  const [row] = await sql`
    delete from todos
    where owner_id = ${sub}
      and id = ${c.req.valid("param").id}
    returning id`
  found(row)
  return c.body(null, 204)
})

export default { hostname: "127.0.0.1", port: Number(PORT), fetch: app.fetch }
