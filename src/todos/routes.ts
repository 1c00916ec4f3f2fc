/** /todos: the caller's own todos. Shapes: model.ts. SQL: queries.ts. */
import { type DocumentDecoration, Elysia, t } from "elysia"
import { insertOutsideUser } from "../accounts/queries.ts"
import type { Caller } from "../accounts/tokens/tokens.ts"
import type { Deps } from "../app.ts"
import { constraintOf } from "../database/errors.ts"
import { Problem } from "../errors.ts"
import { jsonBody, mergePatchBody } from "../http/json-body.ts"
import { noQuery } from "../http/query.ts"
import { bearer, signedInWithQuery } from "../http/signed-in.ts"
import { createOnce } from "./create-once.ts"
import { entityTag, expectedVersions, matchesWeakly } from "./entity-tag.ts"
import type { Place } from "./lists/cursor.ts"
import { countTodos, listTodos } from "./lists/lists.ts"
import { listQuery, PAGE_LIMIT, readListQuery } from "./lists/model.ts"
import { nextLink, pageAnswer, STREAMED_AT_ONCE, streamAnswer } from "./lists/pages.ts"
import * as model from "./model.ts"
import { deleteTodo, findTodo, insertTodo, updateTodo } from "./queries.ts"

const noSuchTodo = () => new Problem("TODO_NOT_FOUND", "Todo not found or not owned by user")
const changedMeanwhile = () =>
  new Problem("PRECONDITION_FAILED", "The todo has another version than If-Match names")

/** Throws the 404 of a missing todo where the text names no id that a todo could have. */
const todoId = (text: string): number => {
  const id = /^[1-9]\d{0,15}$/.test(text) ? Number(text) : Number.NaN
  if (!Number.isSafeInteger(id)) throw noSuchTodo()
  return id
}

/** The foreign keys that a write breaks whose owner is no user yet. */
const UNKNOWN_OWNER = ["todos_owner_id_fkey", "idempotency_keys_owner_id_fkey"]

export const todos = ({ sql, tokens, cursors, log }: Deps) => {
  /** Whoever another system's token names is created by the first write. */
  const asUser = <T>(ownerId: number, write: () => Promise<T>): Promise<T> =>
    write().catch(async (error: unknown) => {
      if (!UNKNOWN_OWNER.includes(constraintOf(error) ?? "")) throw error
      await insertOutsideUser(sql, ownerId)
      return write()
    })

  const create = async (ownerId: number, key: string | null, body: model.NewTodo) =>
    key === null
      ? { created: await insertTodo(sql, ownerId, body), isReplay: false }
      : createOnce(sql, ownerId, key, body)

  /** PUT and PATCH differ in the types they take, and in name. */
  const update = async (
    { userId }: Caller,
    id: string,
    changes: model.TodoChanges,
    sent: Headers,
  ) => {
    const versions = expectedVersions(sent.get("if-match"))
    const row = await updateTodo(sql, userId, todoId(id), changes, versions)
    if (!row) throw noSuchTodo()
    const { is_expected, ...updated } = row
    if (!is_expected) throw changedMeanwhile()
    return updated
  }

  const params = t.Object({
    id: t.String({ description: "The id of a todo", encodes: model.todo.properties.id }),
  })

  const updating = { params, body: model.todoChanges, response: { 200: model.todo } }
  const conditional: DocumentDecoration = {
    takes: ["If-Match"],
    gives: ["ETag"],
    refuses: ["PRECONDITION_FAILED"],
  }

  return new Elysia({ prefix: "/todos", detail: { tags: ["todos"], security: bearer } })
    .onTransform(({ set }) => {
      set.headers["cache-control"] = "private, no-cache"
    })
    .use(signedInWithQuery(tokens))
    .get(
      "",
      async ({ caller, query, set }) => {
        const { userId } = caller
        const { selection, limit, wantsCount } = readListQuery(query)
        const after =
          query.cursor === undefined ? undefined : cursors.read(query.cursor, userId, selection)
        const [page, count] = await Promise.all([
          listTodos(sql, userId, selection, limit ?? PAGE_LIMIT, after),
          wantsCount ? countTodos(sql, userId, selection) : undefined,
        ])
        if (count !== undefined) set.headers["x-total-count"] = String(count)
        if (!page.next) return pageAnswer(page)
        if (limit === undefined) {
          const pageAfter = (place: Place) =>
            listTodos(sql, userId, selection, STREAMED_AT_ONCE, place)
          return streamAnswer(page, pageAfter, log)
        }
        set.headers["link"] = nextLink(query, cursors.write(page.next, userId, selection))
        return pageAnswer(page)
      },
      {
        query: listQuery,
        response: { 200: t.Array(model.todo) },
        detail: {
          operationId: "listTodos",
          summary: "List the caller's todos",
          description:
            "All that match, or with `limit` a page of them: walk the pages by the `next` link. " +
            "Todos that come or go meanwhile make none appear twice and none be left out.",
          gives: ["Link", "X-Total-Count"],
        },
      },
    )
    .guard({ query: noQuery })
    .post(
      "",
      async ({ caller, body, request, set, status }) => {
        const { userId } = caller
        const key = request.headers.get("idempotency-key")
        const { created, isReplay } = await asUser(userId, () => create(userId, key, body))
        const { version, ...todo } = created
        if (isReplay) set.headers["idempotent-replayed"] = "true"
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
          description: "With an Idempotency-Key it may be repeated when the answer got lost.",
          takes: ["Idempotency-Key"],
          gives: ["ETag", "Location", "Idempotent-Replayed"],
          refuses: ["IDEMPOTENCY_KEY_REUSED"],
        },
      },
    )
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
          description: "A todo of somebody else is answered like one that is not there.",
          takes: ["If-None-Match"],
          gives: ["ETag"],
        },
      },
    )
    .put(
      "/:id",
      async ({ caller, params, body, request, set }) => {
        const { version, ...todo } = await update(caller, params.id, body, request.headers)
        set.headers.etag = entityTag(version)
        return todo
      },
      {
        ...jsonBody,
        ...updating,
        detail: {
          ...conditional,
          operationId: "putTodo",
          summary: "Change a todo",
          description: "Members that are left out stay as they are; `id` and times are ignored.",
        },
      },
    )
    .patch(
      "/:id",
      async ({ caller, params, body, request, set }) => {
        const { version, ...todo } = await update(caller, params.id, body, request.headers)
        set.headers.etag = entityTag(version)
        return todo
      },
      {
        ...mergePatchBody,
        ...updating,
        detail: {
          ...conditional,
          operationId: "patchTodo",
          summary: "Change a todo by a merge patch",
          description: "As PUT does. Takes `application/merge-patch+json` too (RFC 7396).",
        },
      },
    )
    .delete(
      "/:id",
      async ({ caller, params, request, status }) => {
        const versions = expectedVersions(request.headers.get("if-match"))
        const found = await deleteTodo(sql, caller.userId, todoId(params.id), versions)
        if (!found) throw noSuchTodo()
        if (!found.is_expected) throw changedMeanwhile()
        return status(204, undefined)
      },
      {
        params,
        response: { 204: t.Undefined() },
        detail: {
          operationId: "deleteTodo",
          summary: "Delete a todo",
          description: "For good. With If-Match only the version that the caller has seen.",
          takes: ["If-Match"],
          refuses: ["PRECONDITION_FAILED"],
        },
      },
    )
}
