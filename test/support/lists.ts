/** Lists for tests: rows as a test wants them, and all their pages. */
import type postgres from "postgres"
import type { User } from "./client.ts"
import { insertTodos } from "./rows.ts"

export type Row = {
  title: string
  description: string | null
  is_completed: boolean
  /** As Postgres reads them: with microseconds. */
  created_at: string
  updated_at: string
}
export type Listed = Row & { id: number }

/** Resolves to the rows with their ids. */
export const insertRows = async (
  sql: postgres.Sql,
  ownerId: number,
  rows: Row[],
): Promise<Listed[]> => {
  if (rows.length === 0) return []
  const ids = await insertTodos(
    sql,
    "title, description, is_completed, created_at, updated_at",
    `select ${ownerId}::bigint, title, description, is_completed, created_at, updated_at
      from jsonb_to_recordset($1::text::jsonb) as row (
        title text, description text, is_completed boolean,
        created_at timestamptz, updated_at timestamptz
      )`,
    [JSON.stringify(rows)],
  )
  return rows.map((row, i) => ({ ...row, id: ids[i] as number }))
}

/** The path of the next page, as a client under /api/v1 calls it. */
export const nextPath = (headers: Headers): string | undefined =>
  /^<\/api\/v1(\/todos[^>]+)>; rel="next"$/.exec(headers.get("link") ?? "")?.[1]

export const ids = (body: unknown) => (body as Listed[]).map(({ id }) => id)

/** The ids of all pages, in order. `between` runs after each page. */
export const readPages = async (
  user: User,
  query: string,
  between: (page: number) => Promise<unknown> = async () => {},
): Promise<number[]> => {
  const found: number[] = []
  let path: string | undefined = `/todos?${query}`
  for (let page = 0; path; page++) {
    const { status, headers, body } = await user.get(path)
    if (status !== 200) throw new Error(`${path}: ${status}`)
    found.push(...ids(body))
    path = nextPath(headers)
    await between(page)
  }
  return found
}
