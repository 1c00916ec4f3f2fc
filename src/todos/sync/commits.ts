/** Tells those who wait in this instance that the todos of a user have changed, by a commit made here. */

export type Changed = (ownerId: number, revision: number) => void

export const createCommits = () => {
  const listeners = new Set<Changed>()
  return {
    /** To be called after the commit. */
    changed: ((ownerId, revision) => {
      for (const listener of listeners) listener(ownerId, revision)
    }) as Changed,
    /** Returns the function that ends it. */
    follow(listener: Changed) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}
export type Commits = ReturnType<typeof createCommits>
