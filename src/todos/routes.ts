/** /todos: the caller's own todos. */
import { t } from "elysia"
import { entityTag, matchesWeakly } from "../http/entity-tag.ts"
import { type AnyCaller, authenticatedWithQueries, type Gate } from "../http/guard.ts"
import { jsonBody, mergePatchBody } from "../http/json-body.ts"
import { noQuery, queryOf } from "../http/validation.ts"
import { restoreTodo, runBatch } from "./batch/run.ts"
import { BATCH_BODY_LIMIT, batch, batchResults } from "./batch/schemas.ts"
import { type EventsDeps, eventStream, noStream } from "./changes/events.ts"
import { type ChangesDeps, respondWithChanges } from "./changes/read.ts"
import { changesPage, changesQuery, eventsBody, readChangesQuery } from "./changes/schemas.ts"
import { documentation } from "./documentation.ts"
import { listQuery } from "./lists/parameters.ts"
import { type ListDeps, respondWithList } from "./lists/response.ts"
import * as model from "./members.ts"
import { findTodo, type Versioned } from "./queries.ts"
import { emptyTrash, forgetTodo, respondWithTrash, trashQuery } from "./trash.ts"
import { createTodo, deleteTodo, noSuchTodo, updateTodo, type WriteDeps } from "./writes.ts"

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
const updateOptions = { params, ifMatch: true as const, response: { 200: model.todo } }

/** The todo without its version, which becomes the entity tag. */
const tagged = (set: { headers: { etag?: string } }, { version, ...todo }: Versioned) => {
  set.headers.etag = entityTag(version)
  return todo
}

export const todos = (deps: Deps) =>
  authenticatedWithQueries(deps, "/todos", "todos")
    .get(
      "",
      ({ caller, client, query, ifNoneMatch, set }) =>
        respondWithList(deps, { caller, client, query, ifNoneMatch }, set.headers),
      {
        ...queryOf(listQuery),
        ifNoneMatch: true,
        response: { 200: t.Array(model.todo), 304: t.Undefined() },
        detail: documentation.listTodos,
      },
    )
    .get(
      "/changes",
      async ({ caller, client, query, wait, set }) => {
        const asked = { caller, client, ...readChangesQuery(query), wait: wait ?? 0 }
        const response = await respondWithChanges(deps, asked)
        if (wait !== undefined) set.headers["preference-applied"] = `wait=${wait}`
        return response
      },
      {
        ...queryOf(changesQuery),
        prefer: true,
        response: { 200: changesPage },
        detail: documentation.getChanges,
      },
    )
    .get(
      "/events",
      async ({ caller, client, request }) =>
        request.method === "HEAD" ? noStream() : eventStream(deps, caller, client),
      { transform: noQuery(), response: { 200: eventsBody }, detail: documentation.getEvents },
    )
    .get(
      "/deleted",
      ({ caller, client, query, set }) =>
        respondWithTrash(deps, { caller, client, query }, set.headers),
      {
        ...queryOf(trashQuery),
        response: { 200: t.Array(model.deletedTodo) },
        detail: documentation.listDeletedTodos,
      },
    )
    .onTransform(noQuery())
    .delete(
      "/deleted",
      async ({ caller, client, status }) => {
        await emptyTrash(deps, { caller, client })
        return status(204, undefined)
      },
      { response: { 204: t.Undefined() }, detail: documentation.forgetDeletedTodos },
    )
    .delete(
      "/deleted/:id",
      async ({ caller, client, params, status }) => {
        await forgetTodo(deps, { caller, client }, todoId(params.id))
        return status(204, undefined)
      },
      { params, response: { 204: t.Undefined() }, detail: documentation.forgetDeletedTodo },
    )
    .post(
      "/:id/restore",
      async ({ caller, client, params, set }) =>
        tagged(set, await restoreTodo(deps, { caller, client }, todoId(params.id))),
      { params, response: { 200: model.todo }, detail: documentation.restoreTodo },
    )
    .post(
      "",
      async ({ caller, client, idempotencyKey, body, set, status }) => {
        const writer = { caller, client }
        const { created, isReplay } = await createTodo(deps, writer, idempotencyKey, body)
        if (isReplay) set.headers["idempotent-replayed"] = "true"
        set.headers.location = `${client.prefix}/api/v1/todos/${created.id}`
        return status(201, tagged(set, created))
      },
      {
        ...jsonBody(model.newTodo),
        idempotencyKey: true,
        response: { 201: model.todo },
        detail: documentation.createTodo,
      },
    )
    .post("/batch", ({ caller, client, body }) => runBatch(deps, { caller, client }, body), {
      ...jsonBody(batch, BATCH_BODY_LIMIT),
      response: { 200: batchResults },
      detail: documentation.runBatch,
    })
    .get(
      "/:id",
      async ({ caller, params, ifNoneMatch, set, status }) => {
        const found = await findTodo(deps.sql, caller.userId, todoId(params.id))
        if (!found) throw noSuchTodo()
        const todo = tagged(set, found)
        const isKnown = matchesWeakly(ifNoneMatch, entityTag(found.version))
        return isKnown ? status(304, undefined) : todo
      },
      {
        params,
        ifNoneMatch: true,
        response: { 200: model.todo, 304: t.Undefined() },
        detail: documentation.getTodo,
      },
    )
    .put(
      "/:id",
      async ({ caller, client, params, body, ifMatch, set }) =>
        tagged(set, await updateTodo(deps, { caller, client }, todoId(params.id), body, ifMatch)),
      { ...jsonBody(model.todoChanges), ...updateOptions, detail: documentation.putTodo },
    )
    .patch(
      "/:id",
      async ({ caller, client, params, body, ifMatch, set }) =>
        tagged(set, await updateTodo(deps, { caller, client }, todoId(params.id), body, ifMatch)),
      { ...mergePatchBody(model.todoChanges), ...updateOptions, detail: documentation.patchTodo },
    )
    .delete(
      "/:id",
      async ({ caller, client, params, ifMatch, status }) => {
        await deleteTodo(deps, { caller, client }, todoId(params.id), ifMatch)
        return status(204, undefined)
      },
      { params, ifMatch: true, response: { 204: t.Undefined() }, detail: documentation.deleteTodo },
    )
