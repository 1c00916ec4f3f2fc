/** Where a client keeps its session, its copy and its queue. */

/** Any JSON value. */
export type Stored = unknown

export interface Storage {
  /**
   * Clients whose storages have the same name share what is stored, and have one leader. The first
   * read may change it.
   */
  readonly name: string
  read(key: string): Promise<Stored>
  /**
   * Changes a value atomically. `change` gets the old value and returns the new one, and may run
   * more than once. `undefined` means that there is no value.
   */
  update(key: string, change: (value: Stored) => Stored): Promise<void>
}
