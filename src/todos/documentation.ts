/** What the OpenAPI document says of the routes of todos. */
import type { DocumentDecoration } from "elysia"

const conditional: DocumentDecoration = {
  responseHeaders: ["ETag"],
  errors: ["PRECONDITION_FAILED"],
}

export const listTodos: DocumentDecoration = {
  operationId: "listTodos",
  summary: "List the caller's todos",
  description:
    "All todos that match or, with `limit`, a page of them: follow the `next` links to the other " +
    "pages. If todos are created or deleted meanwhile, no other todo appears twice or is left out. " +
    "Send the ETag back as If-None-Match to learn at little cost whether any todo has changed. Of a " +
    "user's searches, whole lists and pages of more than 100 two are read at once. Others wait, for 5 " +
    "seconds at most.",
  responseHeaders: ["ETag", "Link", "X-Total-Count"],
  errors: ["TOO_MANY_REQUESTS"],
}

export const createTodo: DocumentDecoration = {
  operationId: "createTodo",
  summary: "Create a todo",
  description: "With an Idempotency-Key it may be repeated if the answer is lost.",
  responseHeaders: ["ETag", "Location", "Idempotent-Replayed"],
  errors: ["IDEMPOTENCY_KEY_REUSED", "QUOTA_EXCEEDED"],
}

export const getTodo: DocumentDecoration = {
  operationId: "getTodo",
  summary: "Get a todo",
  description: "Another user's todo is answered like one that does not exist.",
  responseHeaders: ["ETag"],
}

export const putTodo: DocumentDecoration = {
  ...conditional,
  operationId: "putTodo",
  summary: "Change a todo",
  description: "Members that are left out stay as they are. `id` and times are ignored.",
}

export const patchTodo: DocumentDecoration = {
  ...conditional,
  operationId: "patchTodo",
  summary: "Change a todo by a merge patch",
  description: "Like PUT. Also accepts `application/merge-patch+json` (RFC 7396).",
}

export const deleteTodo: DocumentDecoration = {
  operationId: "deleteTodo",
  summary: "Delete a todo",
  description:
    "It goes to the trash, and can be restored for 30 days, or as long as the operator has set. With " +
    "If-Match, only the version that the caller has seen is deleted.",
  errors: ["PRECONDITION_FAILED"],
}

export const listDeletedTodos: DocumentDecoration = {
  operationId: "listDeletedTodos",
  summary: "List the trash",
  description:
    "The deleted todos that can be restored, the latest deletion first: all or, with `limit`, a page " +
    "of them, as in the list of todos.",
  responseHeaders: ["Link"],
  errors: ["TOO_MANY_REQUESTS"],
}

export const restoreTodo: DocumentDecoration = {
  operationId: "restoreTodo",
  summary: "Restore a deleted todo",
  description:
    "Brings it back with its id, its content and its `created_at`. A todo that is not deleted is " +
    "returned as it is.",
  responseHeaders: ["ETag"],
  errors: ["QUOTA_EXCEEDED"],
}

export const forgetDeletedTodo: DocumentDecoration = {
  operationId: "forgetDeletedTodo",
  summary: "Delete a todo for good",
  description: "Takes it out of the trash, so that it cannot be restored.",
}

export const forgetDeletedTodos: DocumentDecoration = {
  operationId: "forgetDeletedTodos",
  summary: "Empty the trash",
  description: "Deletes all todos in it for good.",
}

export const getChanges: DocumentDecoration = {
  operationId: "getChanges",
  summary: "Get changes",
  description:
    "For clients that keep a copy. Without `since` the answer lists all todos, page by page. With " +
    "it, the answer lists each todo that was created, changed or deleted since then once, in its " +
    "latest form. While `has_more` is true, ask again at once with `next` as `since`. After that, " +
    "keep `next` for the next time. Nothing is ever left out. Deletions are remembered for 90 days: " +
    "after a 410 begin again without `since`. With `Prefer: wait=30` the service answers when there " +
    "is something new, or after 30 seconds.",
  responseHeaders: ["Preference-Applied"],
  errors: ["CHANGES_EXPIRED", "TOO_MANY_REQUESTS"],
}

export const getEvents: DocumentDecoration = {
  operationId: "getEvents",
  summary: "Stream changes",
  description:
    'A stream of server-sent events. `event: state` with `data: {"state": "…"}` comes at once, ' +
    "and after each change. The state is the `next` with which a complete fetch of changes would " +
    "end: a client that has it already need not fetch. A comment comes every 15 seconds. The stream " +
    "ends when its token does, and when the service stops. Then `retry` says when to come back. " +
    "`EventSource` cannot send Authorization, so read it by `fetch`. A user has at most 20 streams.",
  errors: ["TOO_MANY_REQUESTS"],
}

export const runBatch: DocumentDecoration = {
  operationId: "runBatch",
  summary: "Make many changes at once",
  description:
    "Up to 100 operations in one transaction, in their order. Each does what its single call would " +
    "do, and has its own result: if one is refused, the others are done anyway. With `atomic` one " +
    "refusal undoes all: the answer is a 409 with the results, where those that would have succeeded " +
    "have 424. A create or an update with a `key` may be repeated if the answer is lost. The body may " +
    "have 1 MiB.",
  errors: ["BATCH_ROLLED_BACK"],
}
