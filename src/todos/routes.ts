/** /todos: the caller's own todos. Shapes: model.ts. SQL: queries.ts. */
import { t } from "elysia"
import type { Client } from "../http/client-address.ts"
import { entityTag, matchesWeakly } from "../http/entity-tag.ts"
import { type AnyCaller, authenticatedWithQueries, type Gate } from "../http/guard.ts"
import { jsonBody, mergePatchBody } from "../http/json-body.ts"
import { noQuery, queryOf } from "../http/validation.ts"
import { restoreTodo, runBatch } from "./batch/run.ts"
import { BATCH_BODY_LIMIT, batch, batchResults } from "./batch/schemas.ts"
import { type EventsDeps, eventStream, noStream } from "./changes/events.ts"
import { type ChangesDeps, respondWithChanges } from "./changes/read.ts"
import { changesPage, changesQuery, eventsBody, readChangesQuery } from "./changes/schemas.ts"
import * as documentation from "./documentation.ts"
import { listQuery } from "./lists/parameters.ts"
import { type ListDeps, respondWithList } from "./lists/response.ts"
import * as model from "./members.ts"
import { findTodo } from "./queries.ts"
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

type Update = {
  caller: { userId: number }
  client: Pick<Client, "signal">
  params: { id: string }
  ifMatch: number[] | undefined
  body: model.TodoChanges
  set: { headers: { etag?: string } }
}

/** Handles PUT and PATCH, which differ only in the media types that they take. */
const updateRoute =
  (deps: WriteDeps) =>
  async ({ caller, client, params, ifMatch, body, set }: Update) => {
    const writer = { ownerId: caller.userId, client }
    const { version, ...todo } = await updateTodo(deps, writer, todoId(params.id), body, ifMatch)
    set.headers.etag = entityTag(version)
    return todo
  }

/** How long an answer may take in addition to the wait that was asked for. */
const ANSWER_SECONDS = 10

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
      ({ caller, client, query, wait, set }) => {
        if (wait !== undefined) {
          set.headers["preference-applied"] = `wait=${wait}`
          client.closeAfter(wait + ANSWER_SECONDS)
        }
        const asked = { caller, client, ...readChangesQuery(query), wait: wait ?? 0 }
        return respondWithChanges(deps, asked)
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
        await emptyTrash(deps, { ownerId: caller.userId, client })
        return status(204, undefined)
      },
      { response: { 204: t.Undefined() }, detail: documentation.forgetDeletedTodos },
    )
    .delete(
      "/deleted/:id",
      async ({ caller, client, params, status }) => {
        await forgetTodo(deps, { ownerId: caller.userId, client }, todoId(params.id))
        return status(204, undefined)
      },
      { params, response: { 204: t.Undefined() }, detail: documentation.forgetDeletedTodo },
    )
    .post(
      "/:id/restore",
      async ({ caller, client, params, set }) => {
        const writer = { ownerId: caller.userId, client }
        const { version, ...todo } = await restoreTodo(deps, writer, todoId(params.id))
        set.headers.etag = entityTag(version)
        return todo
      },
      { params, response: { 200: model.todo }, detail: documentation.restoreTodo },
    )
    .post(
      "",
      async ({ caller, client, idempotencyKey, body, set, status }) => {
        const writer = { ownerId: caller.userId, client }
        const { created, isReplay } = await createTodo(deps, writer, idempotencyKey, body)
        const { version, ...todo } = created
        if (isReplay) set.headers["idempotent-replayed"] = "true"
        set.headers.location = `${client.prefix}/api/v1/todos/${todo.id}`
        set.headers.etag = entityTag(version)
        return status(201, todo)
      },
      {
        ...jsonBody(model.newTodo),
        idempotencyKey: true,
        response: { 201: model.todo },
        detail: documentation.createTodo,
      },
    )
    .post(
      "/batch",
      ({ caller, client, body }) => runBatch(deps, { ownerId: caller.userId, client }, body),
      {
        ...jsonBody(batch, BATCH_BODY_LIMIT),
        response: { 200: batchResults },
        detail: documentation.runBatch,
      },
    )
    .get(
      "/:id",
      async ({ caller, params, ifNoneMatch, set, status }) => {
        const found = await findTodo(deps.sql, caller.userId, todoId(params.id))
        if (!found) throw noSuchTodo()
        const { version, ...todo } = found
        const etag = entityTag(version)
        set.headers.etag = etag
        const isKnown = matchesWeakly(ifNoneMatch, etag)
        return isKnown ? status(304, undefined) : todo
      },
      {
        params,
        ifNoneMatch: true,
        response: { 200: model.todo, 304: t.Undefined() },
        detail: documentation.getTodo,
      },
    )
    .put("/:id", updateRoute(deps), {
      ...jsonBody(model.todoChanges),
      ...updateOptions,
      detail: documentation.putTodo,
    })
    .patch("/:id", updateRoute(deps), {
      ...mergePatchBody(model.todoChanges),
      ...updateOptions,
      detail: documentation.patchTodo,
    })
    .delete(
      "/:id",
      async ({ caller, client, params, ifMatch, status }) => {
        const writer = { ownerId: caller.userId, client }
        await deleteTodo(deps, writer, todoId(params.id), ifMatch)
        return status(204, undefined)
      },
      { params, ifMatch: true, response: { 204: t.Undefined() }, detail: documentation.deleteTodo },
    )
