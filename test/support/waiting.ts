/** Waiting for what another instance gets to know within the time that is promised. */

/** Whether it becomes true within the 5 s in which a revocation holds everywhere. */
export const within5s = async (isTrue: () => Promise<boolean>) => {
  const deadline = performance.now() + 5_000
  while (!(await isTrue())) {
    if (performance.now() > deadline) return false
    await Bun.sleep(50)
  }
  return true
}
