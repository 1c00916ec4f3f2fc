/** What one user's writers were told, which the list and the tombstones are held against. */
import type { Todo } from "../replica.ts"

export type Held = Todo & { description: string | null }

const difference = <T>(all: Iterable<T>, others: Set<T>) =>
  [...all].filter((one) => !others.has(one))

export class Ledger {
  /** By id: the title, which nobody changes, and the description, which only its writer changes. */
  readonly created = new Map<number, { title: string; description: string | null }>()
  readonly deleted = new Set<number>()
  /** Increments of the counter that all writers of the user share, for each of them. */
  readonly increments = new Map<string, number>()

  constructor(readonly counter: number) {}

  add({ id, title, description }: Held) {
    const known = this.created.get(id)
    if (known && known.title !== title) throw new Error(`${id} is ${known.title} and ${title}`)
    this.created.set(id, { title, description })
  }

  alive() {
    return [...this.created.keys()].filter((id) => !this.deleted.has(id))
  }

  /** Empty where everything is as it was acknowledged. */
  compare(list: Held[], tombstones: number[]) {
    const listed = new Map(list.map((todo) => [todo.id, todo]))
    const counted = JSON.parse(listed.get(this.counter)?.description ?? "{}")
    listed.delete(this.counter)
    const titles = list.map(({ title }) => title)
    const found = {
      lost: this.alive().filter((id) => !listed.has(id)),
      "come back": [...this.deleted].filter((id) => listed.has(id)),
      "created by nobody": difference(listed.keys(), new Set(this.created.keys())),
      doubled: titles.filter((title, index) => titles.indexOf(title) !== index),
      "without a tombstone": difference(this.deleted, new Set(tombstones)),
      "with one and not deleted": difference(tombstones, this.deleted),
      "other members": [...listed.values()].filter(({ id, title, description }) => {
        const known = this.created.get(id)
        return known && (known.title !== title || known.description !== description)
      }),
      "other counts": [...this.increments].filter(([writer, count]) => counted[writer] !== count),
    }
    return Object.fromEntries(Object.entries(found).filter(([, wrong]) => wrong.length > 0))
  }
}
