/** Why a backup cannot be restored, or made: for the person at the terminal. */
export class BackupError extends Error {
  override name = "BackupError"
}

export const damaged = (what: string) =>
  new BackupError(`The backup is damaged or incomplete: ${what}. Nothing was restored.`)
