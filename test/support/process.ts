/** The service as a process of its own, on a database of its own. */
import { startCommand } from "./command.ts"
import { createDatabase } from "./postgres.ts"

export const startProcess = async (settings: Record<string, string> = {}) => {
  const { url, drop } = await createDatabase()
  const service = await startCommand({ DATABASE_URL: url, ...settings })
  return {
    ...service,
    async [Symbol.asyncDispose]() {
      await service[Symbol.asyncDispose]()
      await drop()
    },
  }
}
