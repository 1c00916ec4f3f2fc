/** `todo-api/client`: logs in, refreshes tokens, and keeps a local replica of the todos in sync. */
import { type Client, type ClientOptions, createClientOn } from "./client.ts"
import { platform } from "./platform.ts"

/** Opens a client of the service, with the session that the storage has. */
export const createClient = (options: ClientOptions): Client => createClientOn(platform, options)

export type {
  Answer,
  BrokenRule,
  CallOptions,
  ListQuery,
  NewTodo,
  Sort,
  Tagged,
  Todo,
  TodoChanges,
  User,
} from "./calls.ts"
export type { Client, ClientOptions, LogOutOptions } from "./client.ts"
export { ApiError, type ErrorCode, type Problem } from "./errors.ts"
export type { Key, Live, Status, Undo } from "./live/live.ts"
export type {
  Conflict,
  ConflictNotice,
  DeletedTodo,
  LiveTodo,
  Notice,
  RefusedNotice,
} from "./live/model.ts"
export type { Filter } from "./live/view.ts"
export { memoryStorage } from "./storage/memory.ts"
export type { Guard, Storage, Stored } from "./storage/storage.ts"
