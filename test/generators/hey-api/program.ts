/** The round trip by a client of @hey-api/openapi-ts. */
import { client } from "./generated/client.gen"
import { createTodo, deleteTodo, getTodo, login, putTodo, register } from "./generated/sdk.gen"

declare const process: { argv: string[] }

const account = { email: "hey-api@example.org", password: "correct horse battery staple" }

client.setConfig({ baseUrl: process.argv[2] ?? "" })
const registered = await register({ body: account })
const session = await login({ body: account })
client.setConfig({ auth: () => session.data?.access_token ?? "" })
const created = await createTodo({ body: { title: "Buy milk" } })
const path = { id: created.data?.id ?? 0 }
const headers = { "If-Match": created.response?.headers.get("etag") ?? "" }
const updated = await putTodo({ path, headers, body: { is_completed: true } })
const stale = await putTodo({ path, headers, body: { title: "Buy oats" } })
const deleted = await deleteTodo({ path })
const gone = await getTodo({ path })

console.log(
  JSON.stringify({
    email: registered.data?.email,
    created: created.data?.title,
    updated: updated.data?.is_completed,
    stale: stale.error?.error_code,
    deleted: deleted.response?.status,
    gone: gone.error?.error_code,
  }),
)
