/** `todo-api/client`: logs in, refreshes tokens, and keeps a local copy of the todos in sync. */
import { type ClientOptions, createClientOn } from "./client.ts"
import { platform } from "./platform.ts"

export const createClient = (options: ClientOptions) => createClientOn(platform, options)

export type { ListQuery, NewTodo, Sort, Tagged, Todo, TodoChanges, User } from "./calls.ts"
export type { Client, ClientOptions, LogOutOptions } from "./client.ts"
export { ApiError, type BrokenRule, type ErrorCode, type Problem } from "./errors.ts"
export type { Key, Live, Status, Undo } from "./live/live.ts"
export type { Conflict, DeletedTodo, LiveTodo, Notice } from "./live/model.ts"
export type { Filter } from "./live/view.ts"
export { memoryStorage } from "./storage/memory.ts"
export type { Guard, Storage, Stored } from "./storage/storage.ts"
