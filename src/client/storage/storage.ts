/** Where a client keeps its session, its copy and its queue. */

/** What JSON can carry. */
export type Stored = unknown

export interface Storage {
  /** Clients with the same name share what is stored, and one of them speaks for all. */
  readonly name: string
  read(key: string): Promise<Stored>
  /**
   * Changes a value in one step: nobody else's change comes between. `undefined` is no value.
   * `change` may run more than once, and returns what is then stored.
   */
  update(key: string, change: (value: Stored) => Stored): Promise<void>
}
