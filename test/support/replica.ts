/** A replica of a user's todos, kept in step by what has changed. */
import { patiently, type User } from "./client.ts"

export type Todo = { id: number; title: string; is_completed: boolean }
export type Page = {
  changes: { id: number; etag: string | null; todo: Todo | null }[]
  next: string
  has_more: boolean
}

export class Replica {
  /** Empty before the first page. */
  next = ""
  private readonly held = new Map<number, Todo>()

  constructor(
    private readonly user: Pick<User, "get">,
    private readonly limit = 500,
  ) {}

  /** Fetches one page, and loses the answer. */
  async lose(headers: Record<string, string> = {}): Promise<Page> {
    const since = this.next === "" ? "" : `&since=${this.next}`
    const path = `/todos/changes?limit=${this.limit}${since}`
    const { status, body, text } = await patiently(() => this.user.get(path, headers))
    if (status !== 200) throw new Error(`${status} ${text}`)
    return body as Page
  }

  /** Fetches one page. */
  async step(headers?: Record<string, string>): Promise<Page> {
    const page = await this.lose(headers)
    for (const { id, todo } of page.changes) {
      if (todo) this.held.set(id, todo)
      else this.held.delete(id)
    }
    this.next = page.next
    return page
  }

  /** Fetches until there is no more: these pages. */
  async fetch(): Promise<Page[]> {
    const pages: Page[] = []
    do pages.push(await this.step())
    while (pages.at(-1)?.has_more)
    return pages
  }

  beginAnew() {
    this.next = ""
    this.held.clear()
  }

  todos(): Todo[] {
    return byId([...this.held.values()])
  }
}

const byId = (todos: Todo[]) => todos.sort((a, b) => a.id - b.id)

/** What every replica of the user has to be. */
export const listById = async (user: Pick<User, "get">) =>
  byId((await patiently(() => user.get("/todos"))).body as Todo[])

/** What a complete fetch ends with. */
export const fetchedState = async (user: Pick<User, "get">) => {
  const replica = new Replica(user)
  await replica.fetch()
  return replica.next
}
