/** A copy of a user's todos, kept in step by what has changed. */
import type { User } from "./client.ts"

export type Todo = { id: number; title: string; is_completed: boolean }
export type Page = {
  changes: { id: number; etag: string | null; todo: Todo | null }[]
  next: string
  has_more: boolean
}

export class Copy {
  /** Empty before the first page. */
  next = ""
  readonly pages: Page[] = []
  private readonly held = new Map<number, Todo>()

  constructor(
    private readonly user: User,
    private readonly limit = 500,
  ) {}

  /** Fetches one page. Whether there is more to be fetched at once. */
  async step(): Promise<boolean> {
    const since = this.next === "" ? "" : `&since=${this.next}`
    const { status, body, text } = await this.user.get(`/todos/changes?limit=${this.limit}${since}`)
    if (status !== 200) throw new Error(`${status} ${text}`)
    const page = body as Page
    this.pages.push(page)
    for (const { id, todo } of page.changes) {
      if (todo) this.held.set(id, todo)
      else this.held.delete(id)
    }
    this.next = page.next
    return page.has_more
  }

  async fetch() {
    while (await this.step());
  }

  /** In the order of the list. */
  todos(): Todo[] {
    return [...this.held.values()].sort((a, b) => a.id - b.id)
  }
}
