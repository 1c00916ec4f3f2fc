/** /todos: the caller's own todos. Shapes: model.ts. SQL: queries.ts. */
import { Elysia, t } from "elysia"
import { entityTag, matchesWeakly } from "../http/entity-tag.ts"
import { type AnyCaller, authenticatedWithQueries, type Gate } from "../http/guard.ts"
import { jsonBody, mergePatchBody } from "../http/json-body.ts"
import { methodNotAllowed } from "../http/methods.ts"
import { noQuery } from "../http/request/query.ts"
import { runBatch } from "./batch/run.ts"
import { BATCH_BODY_LIMIT, batch, batchResults } from "./batch/schemas.ts"
import { type EventsDeps, eventStream, noStream } from "./changes/events.ts"
import { type ChangesDeps, respondWithChanges } from "./changes/read.ts"
import { changesPage, changesQuery, eventsBody, readChangesQuery } from "./changes/schemas.ts"
import * as documentation from "./documentation.ts"
import { listQuery } from "./lists/parameters.ts"
import { type ListDeps, respondWithList } from "./lists/response.ts"
import * as model from "./members.ts"
import { noSuchTodo } from "./problems.ts"
import { findTodo } from "./queries.ts"
import { createTodo, deleteTodo, updateTodo, type WriteDeps } from "./writes.ts"

type Deps = ListDeps & WriteDeps & ChangesDeps & EventsDeps & Gate<AnyCaller>

/** Throws a 404 if the text is no id that a todo could have. */
const todoId = (text: string): number => {
  const id = /^[1-9]\d{0,15}$/.test(text) ? Number(text) : Number.NaN
  if (!Number.isSafeInteger(id)) throw noSuchTodo()
  return id
}

const params = t.Object({
  id: t.String({
    description: "The id of a todo",
    examples: [1],
    encodes: model.todo.properties.id,
  }),
})
const changing = { params, response: { 200: model.todo } }

type Change = {
  caller: { userId: number }
  params: { id: string }
  body: model.TodoChanges
  request: Request
  set: { headers: { etag?: string } }
}

/** Handles PUT and PATCH, which differ only in the media types that they take. */
const change =
  (deps: WriteDeps) =>
  async ({ caller, params, body, request, set }: Change) => {
    const ifMatch = request.headers.get("if-match")
    const id = todoId(params.id)
    const { version, ...todo } = await updateTodo(deps, caller.userId, id, body, ifMatch)
    set.headers.etag = entityTag(version)
    return todo
  }

/** Paths that look like `/:id`, for which other methods would find the route of ids. */
const ALLOWED = new Map([
  ["batch", "OPTIONS, POST"],
  ["changes", "GET, HEAD, OPTIONS"],
  ["events", "GET, HEAD, OPTIONS"],
])

/** Throws a 405 before authentication, as for every other path. */
const refuseMethods = (method: string, params: { id?: string } | undefined) => {
  const allow = ALLOWED.get(params?.id ?? "")
  if (allow && !allow.split(", ").includes(method)) throw methodNotAllowed(allow)
}

/** How long an answer may take in addition to the wait that was asked for. */
const ANSWER_SECONDS = 10

export const todos = (deps: Deps) => {
  const app = authenticatedWithQueries(deps, "/todos", "todos", "todos")
    .get(
      "",
      ({ caller, client, query, ifNoneMatch, set }) =>
        respondWithList(deps, { caller, client, query, ifNoneMatch }, set.headers),
      {
        query: listQuery,
        ifNoneMatch: true,
        response: { 200: t.Array(model.todo), 304: t.Undefined() },
        detail: documentation.listTodos,
      },
    )
    .get(
      "/changes",
      ({ caller, client, query, wait, set }) => {
        if (wait !== undefined) {
          set.headers["preference-applied"] = `wait=${wait}`
          client.closeAfter(wait + ANSWER_SECONDS)
        }
        const asked = { caller, client, ...readChangesQuery(query), wait: wait ?? 0 }
        return respondWithChanges(deps, asked)
      },
      {
        query: changesQuery,
        prefer: true,
        response: { 200: changesPage },
        detail: documentation.getChanges,
      },
    )
    .get(
      "/events",
      async ({ caller, client, request }) =>
        request.method === "HEAD" ? noStream() : eventStream(deps, caller, client),
      { query: noQuery, response: { 200: eventsBody }, detail: documentation.getEvents },
    )
    .guard({ query: noQuery })
    .post(
      "",
      async ({ caller, body, request, set, status }) => {
        const key = request.headers.get("idempotency-key")
        const { created, isReplay } = await createTodo(deps, caller.userId, key, body)
        const { version, ...todo } = created
        if (isReplay) set.headers["idempotent-replayed"] = "true"
        set.headers.location = `/api/v1/todos/${todo.id}`
        set.headers.etag = entityTag(version)
        return status(201, todo)
      },
      {
        ...jsonBody(model.newTodo),
        response: { 201: model.todo },
        detail: documentation.createTodo,
      },
    )
    .post("/batch", ({ caller, body }) => runBatch(deps, caller.userId, body), {
      ...jsonBody(batch, BATCH_BODY_LIMIT),
      response: { 200: batchResults },
      detail: documentation.runBatch,
    })
    .get(
      "/:id",
      async ({ caller, params, request, set, status }) => {
        const found = await findTodo(deps.sql, caller.userId, todoId(params.id))
        if (!found) throw noSuchTodo()
        const { version, ...todo } = found
        const etag = entityTag(version)
        set.headers.etag = etag
        const isKnown = matchesWeakly(request.headers.get("if-none-match"), etag)
        return isKnown ? status(304, undefined) : todo
      },
      { params, response: { 200: model.todo, 304: t.Undefined() }, detail: documentation.getTodo },
    )
    .put("/:id", change(deps), {
      ...jsonBody(model.todoChanges),
      ...changing,
      detail: documentation.putTodo,
    })
    .patch("/:id", change(deps), {
      ...mergePatchBody(model.todoChanges),
      ...changing,
      detail: documentation.patchTodo,
    })
    .delete(
      "/:id",
      async ({ caller, params, request, status }) => {
        const ifMatch = request.headers.get("if-match")
        await deleteTodo(deps, caller.userId, todoId(params.id), ifMatch)
        return status(204, undefined)
      },
      { params, response: { 204: t.Undefined() }, detail: documentation.deleteTodo },
    )
  return new Elysia()
    .onTransform(({ request, params }) => refuseMethods(request.method, params))
    .use(app)
}
