/** The property that the whole API has: each answer is one that the document promises. */
import { expect } from "bun:test"
import { Ajv } from "ajv"
import formats from "ajv-formats"
import fc from "fast-check"
import type { Statements } from "../../src/database/sql.ts"
import { insertAccount } from "./accounts.ts"
import type { App } from "./app.ts"
import type { Answer } from "./client.ts"
import type { Operation, Schema } from "./document.ts"
import { requestsOf } from "./generated-requests.ts"

/** Another one makes other requests: `PROPERTY_SEED=$RANDOM bun test`. */
export const seed = Number(process.env["PROPERTY_SEED"] ?? 20_261_122)

const ajv = new Ajv({ allErrors: true, strict: false })
formats(ajv)

const faultsOf = (schema: Schema, value: unknown) => {
  ajv.validate(schema, value)
  return ajv.errors?.map(({ instancePath, message }) => `${instancePath} ${message}`) ?? []
}

/** A header's text as the value that its schema describes. */
const headerValue = ({ type }: Schema, text: string) => (type === "integer" ? Number(text) : text)

/** Of HTTP, which no operation documents. */
const OF_HTTP = ["content-length", "content-type", "date", "transfer-encoding"]

/** How an answer differs from what the document says of it. */
const differences = (
  { responses }: Operation,
  { status, headers, body, text }: Answer,
): string[] => {
  const said = responses[status]
  if (!said) return [`the status ${status} is not documented`]
  const faults = status >= 500 ? [`the status is ${status}`] : []
  for (const [name, { required, schema }] of Object.entries(said.headers)) {
    const value = headers.get(name)
    if (value === null && required) faults.push(`${name} is missing`)
    if (value !== null)
      faults.push(...faultsOf(schema, headerValue(schema, value)).map((fault) => name + fault))
  }
  const known = [...OF_HTTP, ...Object.keys(said.headers).map((name) => name.toLowerCase())]
  for (const name of headers.keys())
    if (!known.includes(name)) faults.push(`the header ${name} is not documented`)
  const type = headers.get("content-type")?.split(";")[0]
  const [documented] = Object.entries(said.content ?? {})
  if (!documented) return text === "" ? faults : [...faults, "there is a body"]
  if (type !== documented[0]) faults.push(`the content type is ${type}`)
  return [...faults, ...faultsOf(documented[1].schema, body)]
}

const fill = (text: string, values: Record<string, string>) =>
  text.replace(/\{(\w+)\}/g, (whole, name: string) => values[name] ?? whole)

/** Once many logins failed, nothing more is seen of this address but its refusal. */
const reopenLogin = (sql: Statements) => sql`delete from rate_limits`

/** A user with a todo: what the placeholders of a generated request stand for. */
const newCaller = async (app: App, sql: Statements) => {
  await reopenLogin(sql)
  const user = await insertAccount(app, sql)
  const renewTodo = async () => {
    const { body } = await user.post("/todos", { title: "a" })
    return String((body as { id: number }).id)
  }
  const { email, password, token, refreshToken } = user
  return { values: { email, password, token, refreshToken, id: await renewTodo() }, renewTodo }
}

/** Sends `runs` requests. The error of a failure has the smallest request that fails, and the seed. */
export const expectDocumentedAnswers = async (
  app: App,
  sql: Statements,
  operation: Operation,
  runs: number,
) => {
  let caller = await newCaller(app, sql)
  const property = fc.asyncProperty(requestsOf(operation), async ({ path, headers, body }) => {
    const { values } = caller
    const answer = await app.call(operation.method, fill(path, values), {
      headers: { ...headers, authorization: fill(headers["authorization"] ?? "", values) },
      body: typeof body === "string" ? fill(body, values) : body,
    })
    if (answer.status === 429) await reopenLogin(sql)
    // Whatever ended something ended it for the requests that follow.
    if (answer.status === 204) {
      if (path.includes("{id}")) values.id = await caller.renewTodo()
      else caller = await newCaller(app, sql)
    }
    if (answer.status === 200 && path.endsWith("/password")) caller = await newCaller(app, sql)
    expect(differences(operation, answer)).toEqual([])
  })
  await fc.assert(property, { numRuns: runs, seed })
}
