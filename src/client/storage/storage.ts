/** Where a client keeps its session, its replica and its queue. */

/** Any JSON value. */
export type Stored = unknown

/** What a write depends on: the values (texts) that keys have, undefined if one has none. */
export type Guard = ReadonlyMap<string, string | undefined>

/** Where a client keeps what outlives it: for whom none of the storages of the package fits. */
export interface Storage {
  /** Clients whose storages have the same name share what is stored, and have one leader. */
  readonly name: string
  /** Whether a reload loses all of it: then only what the service has counts as stored. */
  readonly isVolatile?: boolean | undefined
  /** All values whose keys begin with the prefix, by key. */
  read(prefix: string): Promise<ReadonlyMap<string, Stored>>
  /**
   * Writes all of the values, or none; `undefined` removes one. If the guard does not hold any more,
   * it writes nothing and returns false.
   */
  write(values: ReadonlyMap<string, Stored>, guard?: Guard): Promise<boolean>
  /** Whether it is kept however full the device is. If `ask`, it asks the browser for that. */
  persist?(ask: boolean): Promise<boolean>
}
