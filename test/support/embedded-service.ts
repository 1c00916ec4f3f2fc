/** A process that has an embedded database and does nothing else. */
import { startEmbedded } from "../../src/database/embedded/start.ts"

const database = await startEmbedded(process.argv[2] ?? "")
process.on("SIGTERM", () => database.stop())
process.on("SIGINT", () => {})
console.log(database.url)
await database.exited
