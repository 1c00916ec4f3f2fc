/** A program as a front-end developer writes it: all it knows of the API is the document's types. */
import createClient from "openapi-fetch"
import type { components, paths } from "./api.d.ts"

type Todo = components["schemas"]["Todo"]

const client = createClient<paths>({ baseUrl: process.argv[2] ?? "" })
const account = { email: "ada@example.org", password: "correct horse" }

const registered = await client.POST("/api/v1/auth/register", { body: account })
const again = await client.POST("/api/v1/auth/register", { body: account })
const takenCode: "EMAIL_TAKEN" | undefined =
  again.response.status === 409 && again.error?.error_code === "EMAIL_TAKEN"
    ? again.error.error_code
    : undefined

const login = await client.POST("/api/v1/auth/login", { body: account })
if (!login.data) throw new Error(login.error.detail)
const { access_token } = login.data
client.use({
  onRequest({ request }) {
    request.headers.set("authorization", `Bearer ${access_token}`)
  },
})

const created = await client.POST("/api/v1/todos", { body: { title: "Buy milk" } })
if (!created.data) throw new Error(created.error.detail)
const todo: Todo = created.data
const params = { path: { id: todo.id } }
// @ts-expect-error: a todo needs a title.
const untitled = await client.POST("/api/v1/todos", { body: { description: null } })

const query = { limit: 10, sort: "-title", is_completed: false, count: true } as const
const listed = await client.GET("/api/v1/todos", { params: { query } })
const titles: string[] | undefined = listed.data?.map(({ title }) => title)
// What was read can be sent back as it is, its read-only members included.
const put = await client.PUT("/api/v1/todos/{id}", { params, body: { ...todo, title: "Buy oats" } })
const patched = await client.PATCH("/api/v1/todos/{id}", { params, body: { is_completed: true } })
const completed: boolean | undefined = patched.data?.is_completed
const deleted = await client.DELETE("/api/v1/todos/{id}", { params })
const gone = await client.GET("/api/v1/todos/{id}", { params })

console.log(
  JSON.stringify({
    email: registered.data?.email,
    takenCode,
    untitled: untitled.error?.error_code === "BAD_REQUEST" && untitled.error.errors,
    titles,
    total: listed.response.headers.get("x-total-count"),
    put: put.data?.title,
    completed,
    deleted: deleted.response.status,
    gone: gone.error?.error_code,
  }),
)
