/** Listeners to one event, such as a change of the replica. */

export const createListeners = () => {
  const listeners = new Set<() => void>()
  return {
    /** Returns the function that removes the listener. */
    add: (listener: () => void) => {
      listeners.add(listener)
      return () => {
        listeners.delete(listener)
      }
    },

    /** As with EventTarget, an error of a listener is reported, and stops nobody else. */
    call: () => {
      for (const listener of [...listeners]) {
        try {
          listener()
        } catch (error) {
          queueMicrotask(() => {
            throw error
          })
        }
      }
    },
  }
}
