/** As whom Postgres runs. It refuses root, so root's service runs it under another account. */
import { readFileSync, statSync } from "node:fs"
import type { ProcessUser } from "../../programs/directory.ts"

/** The one of its own first: what else runs as `postgres` or `nobody` can read the data, too. */
const ACCOUNTS = ["todo-api", "postgres"]
/** Linux' overflow user: there even where /etc/passwd is not. */
const nobody: ProcessUser = { uid: 65534, gid: 65534 }

const accountNamed = (passwd: string, name: string): ProcessUser | undefined => {
  const entry = new RegExp(`^${name}:[^:]*:(\\d+):(\\d+):`, "m").exec(passwd)
  return entry ? { uid: Number(entry[1]), gid: Number(entry[2]) } : undefined
}

export const accountOf = (passwd: string): ProcessUser =>
  ACCOUNTS.map((name) => accountNamed(passwd, name)).find((account) => account?.uid) ?? nobody

const passwd = () => {
  try {
    return readFileSync("/etc/passwd", "utf8")
  } catch {
    return ""
  }
}

/** The first path that exists and is not root's decides, so that data keep their owner. */
export const serverUser = (...paths: string[]): ProcessUser => {
  if (process.geteuid?.() !== 0) return {}
  if (process.platform !== "linux") {
    throw new Error("Postgres refuses to run as root: start the service as an ordinary user")
  }
  for (const path of paths) {
    const owner = statSync(path, { throwIfNoEntry: false })
    if (owner && owner.uid !== 0) return { uid: owner.uid, gid: owner.gid }
  }
  return accountOf(passwd())
}
