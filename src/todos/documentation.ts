/** What the OpenAPI document says of the routes of todos, by their operationId. */
import type { DocumentDecoration } from "elysia"

const named = <Id extends string>(operations: Record<Id, DocumentDecoration>) => {
  for (const operationId in operations) operations[operationId].operationId = operationId
  return operations
}

export const documentation = named({
  listTodos: {
    summary: "List the caller's todos",
    description:
      "Without `limit`, all todos that match as one array, which is streamed: a bare array, so that " +
      'clients can read it item by item. With `limit`, a page: follow the `Link` with `rel="next"` to ' +
      "the others. Todos that are created or deleted meanwhile neither repeat nor hide another. Send " +
      "the ETag back as If-None-Match to learn at little cost whether any todo has changed. At most two " +
      "searches, whole lists or pages of more than 100 todos of a user run at once; further ones wait " +
      "up to 5 seconds.",
    responseHeaders: ["ETag", "Link", "X-Total-Count"],
  },
  createTodo: {
    summary: "Create a todo",
    description:
      "Send an Idempotency-Key to make retries safe: a request that is repeated with the same key never " +
      "creates a second todo.",
    responseHeaders: ["ETag", "Location", "Idempotent-Replayed"],
    errors: ["IDEMPOTENCY_KEY_REUSED", "QUOTA_EXCEEDED"],
  },
  getTodo: {
    summary: "Get a todo",
    description: "A todo of another user is a 404, as if it did not exist.",
    responseHeaders: ["ETag"],
  },
  putTodo: {
    responseHeaders: ["ETag"],
    errors: ["PRECONDITION_FAILED"],
    summary: "Change a todo",
    description:
      "Members that are left out stay as they are, unlike a replacement as in RFC 9110: a client that " +
      "does not know a member yet must not erase it. `description: null` clears it. `id`, `created_at` " +
      "and `updated_at` are accepted and ignored, so that a todo can be sent back as it came.",
  },
  patchTodo: {
    responseHeaders: ["ETag"],
    errors: ["PRECONDITION_FAILED"],
    summary: "Change a todo by a merge patch",
    description: "The same as PUT, and accepts `application/merge-patch+json` (RFC 7396), too.",
  },
  deleteTodo: {
    summary: "Delete a todo",
    description:
      "Moves it to the trash, from which it can be restored for 30 days, or as long as the operator has " +
      "set. With If-Match, deletes only the version that the caller has seen.",
    errors: ["PRECONDITION_FAILED"],
  },
  listDeletedTodos: {
    summary: "List the trash",
    description:
      "The deleted todos that can be restored, the latest deletion first: all or, with `limit`, a page " +
      "of them, as in the list of todos.",
    responseHeaders: ["Link"],
  },
  restoreTodo: {
    summary: "Restore a deleted todo",
    description:
      "Brings it back with its id, its content and its `created_at`. A todo that is not deleted is " +
      "returned as it is.",
    responseHeaders: ["ETag"],
    errors: ["QUOTA_EXCEEDED"],
  },
  forgetDeletedTodo: {
    summary: "Delete a todo for good",
    description: "Takes it out of the trash, so that it cannot be restored.",
  },
  forgetDeletedTodos: {
    summary: "Empty the trash",
    description: "Deletes all todos in it for good.",
  },
  getChanges: {
    summary: "Get changes",
    description:
      "For clients that keep a replica. Without `since`: all todos, page by page. With `since`: each " +
      "todo that was created, changed or deleted after it, once, in its latest form. While `has_more` " +
      "is true, continue at once with `next` as `since`; then store `next` for the next time. Nothing is " +
      "ever left out. Deletions are remembered for 90 days: after a 410, start again without `since`. " +
      "With `Prefer: wait=30` a response without changes is delayed until there is one, for at most 30 " +
      "seconds.",
    responseHeaders: ["Preference-Applied"],
    errors: ["CHANGES_EXPIRED"],
  },
  getEvents: {
    summary: "Stream changes",
    description:
      'A stream of server-sent events: `event: state` with `data: {"state": "…"}` at once, and after ' +
      "each change. The state is the `next` that a complete fetch of changes ends with: a client that " +
      "has it already need not fetch. A comment is sent every 15 seconds. The stream ends when its token " +
      "expires or is revoked, and when the service stops; `retry` then says when to reconnect. Read it " +
      "by `fetch`, because `EventSource` cannot send Authorization. At most 20 streams of a user.",
  },
  runBatch: {
    summary: "Make many changes at once",
    description:
      "Up to 100 operations in one transaction, in their order. Each does what its single request would " +
      "do and has its own result: if one is refused, the others are done anyway. With `atomic`, one " +
      "refusal undoes all: a 409 with the results, in which those that would have succeeded have 424. " +
      "Creates and updates with a `key` can be retried safely. The body may have 1 MiB.",
    errors: ["BATCH_ROLLED_BACK"],
  },
})
