/** The error of a backup that cannot be made or restored, for the person at the terminal. */
export class BackupError extends Error {
  override name = "BackupError"
}

export const damaged = (what: string) =>
  new BackupError(`The backup is damaged or incomplete: ${what}. Nothing was restored.`)
