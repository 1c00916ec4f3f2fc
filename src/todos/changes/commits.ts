/** Tells watchers in this instance about changes that this instance has committed. */

export type Changed = (ownerId: number, revision: number) => void

export const createCommits = () => {
  const listeners = new Set<Changed>()
  return {
    /** Has to be called after the commit. */
    changed: ((ownerId, revision) => {
      for (const listener of listeners) listener(ownerId, revision)
    }) as Changed,
    /** Returns the function that stops it. */
    follow(listener: Changed) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}
export type Commits = ReturnType<typeof createCommits>
