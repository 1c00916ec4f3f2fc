/** /todos: the caller's own todos. Shapes: model.ts. SQL: queries.ts. */
import { Elysia, t } from "elysia"
import { insertOutsideUser } from "../accounts/queries.ts"
import type { Deps } from "../app.ts"
import { constraintOf } from "../database/errors.ts"
import { Problem } from "../errors.ts"
import { jsonBody, mergePatchBody } from "../http/json-body.ts"
import { bearer, signedIn } from "../http/signed-in.ts"
import { entityTag, matchesWeakly } from "./entity-tag.ts"
import * as model from "./model.ts"
import {
  deleteTodo,
  findTodo,
  insertTodo,
  listTodos,
  updateTodo,
  type Versioned,
} from "./queries.ts"

const noSuchTodo = () => new Problem("TODO_NOT_FOUND", "Todo not found or not owned by user")

/** Throws the 404 of a missing todo where the text names no id that a todo could have. */
const todoId = (text: string): number => {
  const id = /^[1-9]\d{0,15}$/.test(text) ? Number(text) : Number.NaN
  if (!Number.isSafeInteger(id)) throw noSuchTodo()
  return id
}

export const todos = ({ sql, tokens }: Deps) => {
  /** Whoever another system's token names is created by the first write. */
  const insert = (ownerId: number, todo: model.NewTodo): Promise<Versioned> =>
    insertTodo(sql, ownerId, todo).catch(async (error: unknown) => {
      if (constraintOf(error) !== "todos_owner_id_fkey") throw error
      await insertOutsideUser(sql, ownerId)
      return insert(ownerId, todo)
    })

  const params = t.Object({
    id: t.String({ description: "The id of a todo", encodes: model.todo.properties.id }),
  })

  const update = async (ownerId: number, id: string, changes: model.TodoChanges) => {
    const row = await updateTodo(sql, ownerId, todoId(id), changes)
    if (!row) throw noSuchTodo()
    return row
  }

  return new Elysia({ prefix: "/todos", detail: { tags: ["todos"], security: bearer } })
    .onTransform(({ set }) => {
      set.headers["cache-control"] = "private, no-cache"
    })
    .use(signedIn(tokens))
    .post(
      "",
      async ({ caller, body, set, status }) => {
        const { version, ...todo } = await insert(caller.userId, body)
        set.headers.location = `/api/v1/todos/${todo.id}`
        set.headers.etag = entityTag(version)
        return status(201, todo)
      },
      {
        ...jsonBody,
        body: model.newTodo,
        response: { 201: model.todo },
        detail: {
          operationId: "createTodo",
          summary: "Create a todo",
          gives: ["ETag", "Location"],
        },
      },
    )
    .get("", ({ caller }) => listTodos(sql, caller.userId), {
      response: { 200: t.Array(model.todo) },
      detail: { operationId: "listTodos", summary: "List the caller's todos" },
    })
    .get(
      "/:id",
      async ({ caller, params, request, set, status }) => {
        const row = await findTodo(sql, caller.userId, todoId(params.id))
        if (!row) throw noSuchTodo()
        const { version, ...todo } = row
        set.headers.etag = entityTag(version)
        const known = request.headers.get("if-none-match")
        return known !== null && matchesWeakly(known, version) ? status(304, undefined) : todo
      },
      {
        params,
        response: { 200: model.todo, 304: t.Undefined() },
        detail: {
          operationId: "getTodo",
          summary: "Get a todo",
          takes: ["If-None-Match"],
          gives: ["ETag"],
        },
      },
    )
    .put(
      "/:id",
      async ({ caller, params, body, set }) => {
        const { version, ...todo } = await update(caller.userId, params.id, body)
        set.headers.etag = entityTag(version)
        return todo
      },
      {
        ...jsonBody,
        params,
        body: model.todoChanges,
        response: { 200: model.todo },
        detail: { operationId: "putTodo", summary: "Change a todo", gives: ["ETag"] },
      },
    )
    .patch(
      "/:id",
      async ({ caller, params, body, set }) => {
        const { version, ...todo } = await update(caller.userId, params.id, body)
        set.headers.etag = entityTag(version)
        return todo
      },
      {
        ...mergePatchBody,
        params,
        body: model.todoChanges,
        response: { 200: model.todo },
        detail: {
          operationId: "patchTodo",
          summary: "Change a todo by a merge patch",
          gives: ["ETag"],
        },
      },
    )
    .delete(
      "/:id",
      async ({ caller, params, status }) => {
        if (!(await deleteTodo(sql, caller.userId, todoId(params.id)))) throw noSuchTodo()
        return status(204, undefined)
      },
      {
        params,
        response: { 204: t.Undefined() },
        detail: { operationId: "deleteTodo", summary: "Delete a todo" },
      },
    )
}
