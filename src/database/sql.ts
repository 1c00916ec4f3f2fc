/** The interface for statements: types alone. */
import type postgres from "postgres"

export type Columns = { id: number; instant: string }
export type Types = { [Name in keyof Columns]: postgres.PostgresType<Columns[Name]> }

export type Value = string | number | boolean | Uint8Array | null

/** How a statement or a transaction waits for a connection. */
export type Waiting = {
  /** When it was asked for, by performance.now(), if it has waited before: its time limit counts from there. */
  askedAt?: number | undefined
  /**
   * Of its client: where that has left, what still waits is dropped. Asked for only if there is a wait:
   * reading a request's signal takes time.
   */
  signal?: (() => AbortSignal) | undefined
}

declare module "postgres" {
  interface UnsafeQueryOptions extends Waiting {}
}

/**
 * An option of `unsafe`: prepares the statement on the server. Its text must not contain anything of a
 * client, and has `$1` and so on for the values. Making a text of fragments takes a microsecond for each.
 */
export const PREPARED = { prepare: true }

/** Makes statements, fragments of them, and the helpers of postgres.js for names and lists. */
export interface Statements {
  <Rows extends readonly (object | undefined)[] = postgres.Row[]>(
    template: TemplateStringsArray,
    ...parameters: readonly postgres.ParameterOrFragment<number | string>[]
  ): postgres.PendingQuery<Rows>
  (name: string): postgres.Helper<string>
  <Value extends postgres.SerializableParameter>(values: readonly Value[]): postgres.Helper<Value[]>
  json: postgres.Sql<Columns>["json"]
  unsafe: postgres.Sql<Columns>["unsafe"]
}

export type PoolState = {
  size: number
  busy: number
  waiting: number
  /** Statements and transactions that have ended so far. */
  ended: number
  /** Statements that exceeded their time limit. */
  cancelled: number
  /** How often all connections were replaced. */
  replaced: number
  /** When the database last answered a statement or committed a transaction, by performance.now(). */
  answeredAt: number
}

export interface Sql extends Statements {
  /** For statements that touch few rows, and wait for no lock that is held for long. */
  pipelined: Statements
  begin<Result>(
    work: (transaction: Statements) => Promise<Result>,
    waiting?: Waiting,
  ): Promise<Result>
  /** Resolves when a host was chosen, or all hosts were asked in vain. */
  found: Promise<void>
  state(): PoolState
  end(): Promise<void>
}
