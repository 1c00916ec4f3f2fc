/**
 * Time as it passes on this machine: what is said to take so many seconds is compared with a control beside it,
 * which a busy machine slows down as well. A stop watch would fail there.
 */

type Control = () => Promise<unknown>

const tenth = async (control: Control) => {
  await Bun.sleep(100)
  await control()
}

/** So many seconds, each with ten runs of the control. */
export const pass = async (seconds: number, control: Control) => {
  for (let tenths = 0; tenths < seconds * 10; tenths++) await tenth(control)
}

/** What the work comes to, and how many tenths of a second have passed when it is done. */
export const tenthsOf = async <Result>(
  work: Promise<Result>,
  control: Control,
): Promise<[Result, number]> => {
  let isDone = false
  let tenths = 0
  const passing = async () => {
    while (!isDone) {
      await tenth(control)
      if (!isDone) tenths++
    }
  }
  const passed = passing()
  const result = await work.finally(() => {
    isDone = true
  })
  await passed
  return [result, tenths]
}
