/** The user that runs Postgres. It refuses root, so that a service of root needs another account. */
import { existsSync, readFileSync, statSync } from "node:fs"
import type { ProcessUser } from "../../programs/directory.ts"

const PASSWD = "/etc/passwd"
/** A dedicated account first: other programs that run as `postgres` or `nobody` could read the data. */
const ACCOUNTS = ["todo-api", "postgres"]
/** The overflow user of Linux, which exists even without /etc/passwd. */
const nobody: ProcessUser = { uid: 65534, gid: 65534 }

const accountNamed = (passwd: string, name: string): ProcessUser | undefined => {
  const entry = new RegExp(`^${name}:[^:]*:(\\d+):(\\d+):`, "m").exec(passwd)
  return entry ? { uid: Number(entry[1]), gid: Number(entry[2]) } : undefined
}

export const accountOf = (passwd: string): ProcessUser =>
  ACCOUNTS.map((name) => accountNamed(passwd, name)).find((account) => account?.uid) ?? nobody

/** The owner of the first path that is not owned by root, so that data keep their owner. */
export const serverUser = (...paths: string[]): ProcessUser => {
  if (process.geteuid?.() !== 0) return {}
  if (process.platform !== "linux") {
    throw new Error("Postgres refuses to run as root: start the service as an ordinary user")
  }
  for (const path of paths) {
    const owner = statSync(path, { throwIfNoEntry: false })
    if (owner && owner.uid !== 0) return { uid: owner.uid, gid: owner.gid }
  }
  return accountOf(existsSync(PASSWD) ? readFileSync(PASSWD, "utf8") : "")
}
