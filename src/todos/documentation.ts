/** What the OpenAPI document says of the routes of todos. */
import type { DocumentDecoration } from "elysia"

const conditional: DocumentDecoration = {
  requestHeaders: ["If-Match"],
  responseHeaders: ["ETag"],
  errors: ["PRECONDITION_FAILED"],
}

export const listTodos: DocumentDecoration = {
  operationId: "listTodos",
  summary: "List the caller's todos",
  description:
    "All that match, or with `limit` a page of them: walk the pages by the `next` link. " +
    "Todos that come or go meanwhile make none appear twice and none be left out. Send the ETag " +
    "back as If-None-Match to learn at little cost whether any todo has changed. A user's " +
    "searches (`q`) run two at a time: further ones wait their turn, 5 seconds at most.",
  requestHeaders: ["If-None-Match"],
  responseHeaders: ["ETag", "Link", "X-Total-Count"],
  errors: ["TOO_MANY_REQUESTS"],
}

export const createTodo: DocumentDecoration = {
  operationId: "createTodo",
  summary: "Create a todo",
  description: "With an Idempotency-Key it may be repeated when the answer got lost.",
  requestHeaders: ["Idempotency-Key"],
  responseHeaders: ["ETag", "Location", "Idempotent-Replayed"],
  errors: ["IDEMPOTENCY_KEY_REUSED", "QUOTA_EXCEEDED"],
}

export const getTodo: DocumentDecoration = {
  operationId: "getTodo",
  summary: "Get a todo",
  description: "A todo of somebody else is answered like one that is not there.",
  requestHeaders: ["If-None-Match"],
  responseHeaders: ["ETag"],
}

export const putTodo: DocumentDecoration = {
  ...conditional,
  operationId: "putTodo",
  summary: "Change a todo",
  description: "Members that are left out stay as they are; `id` and times are ignored.",
}

export const patchTodo: DocumentDecoration = {
  ...conditional,
  operationId: "patchTodo",
  summary: "Change a todo by a merge patch",
  description: "As PUT does. Takes `application/merge-patch+json` too (RFC 7396).",
}

export const deleteTodo: DocumentDecoration = {
  operationId: "deleteTodo",
  summary: "Delete a todo",
  description: "For good. With If-Match only the version that the caller has seen.",
  requestHeaders: ["If-Match"],
  errors: ["PRECONDITION_FAILED"],
}

export const getChanges: DocumentDecoration = {
  operationId: "getChanges",
  summary: "Get what has changed",
  description:
    "For clients that keep a copy. Without `since` all todos come, page by page; with it every " +
    "todo that was created, changed or deleted since, once, in its latest form. While `has_more` " +
    "go on at once with `next`; then keep `next`, and come back with it later. Nothing is ever " +
    "left out. Deletions are remembered for 90 days: a 410 tells to begin again without `since`. " +
    "With `Prefer: wait=30` the answer comes when there is something new, or after 30 seconds.",
  requestHeaders: ["Prefer"],
  responseHeaders: ["Preference-Applied"],
  errors: ["CHANGES_EXPIRED", "TOO_MANY_REQUESTS"],
}

export const getEvents: DocumentDecoration = {
  operationId: "getEvents",
  summary: "Hear of changes",
  description:
    'A stream of server-sent events. `event: state` with `data: {"state": "…"}` comes at once, ' +
    "and after each change: the state is the `next` that a complete fetch of changes would end " +
    "with, so who has it already fetches nothing. A comment comes every 15 seconds. The stream " +
    "ends with its token, and when the service stops; `retry` then says when to come back. " +
    "`EventSource` sends no Authorization: read it by `fetch`. At most 20 of one user.",
  errors: ["TOO_MANY_REQUESTS"],
}

export const runBatch: DocumentDecoration = {
  operationId: "runBatch",
  summary: "Make many changes at once",
  description:
    "Up to 100 operations in one transaction. Each in turn does what its single call would do, and " +
    "has its result, a refusal too: the others are done all the same. With `atomic` one refusal " +
    "undoes all: a 409 with the results, 424 for those that would have succeeded. A create with " +
    "a `key` may be repeated when the answer got lost. The body may have 1 MiB.",
  errors: ["BATCH_ROLLED_BACK"],
}
