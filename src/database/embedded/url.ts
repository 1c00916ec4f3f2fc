/** The URL of the embedded database: a socket, and a password that is kept in DATA_DIR. */
import { randomBytes } from "node:crypto"
import { closeSync, existsSync, openSync } from "node:fs"
import { join, resolve } from "node:path"
import { readPrivateFile } from "../../data-dir/private-files.ts"

const socketName = ".s.PGSQL.5432"
/** The shortest limit of all platforms. Linux allows 107. */
const socketPathLimit = 103

export const clusterIn = (dataDir: string) => join(dataDir, "postgres")
export const passwordFile = (dataDir: string) => join(dataDir, "postgres_password")
export const newPassword = () => randomBytes(32).toString("base64url")

export const readPassword = (dataDir: string) =>
  existsSync(passwordFile(dataDir)) ? readPrivateFile(passwordFile(dataDir)) : undefined

/**
 * A name for a directory, valid while it is kept open: short enough for the address of a socket, and
 * without a comma, which would separate two hosts in a URL.
 */
const openDirectory = (path: string) => {
  const fd = openSync(path, "r")
  const short = process.platform === "linux" && `/proc/${process.pid}/fd/${fd}`
  const isFit = Buffer.byteLength(join(path, socketName)) <= socketPathLimit && !path.includes(",")
  return { name: !isFit && short ? short : path, close: () => closeSync(fd) }
}

/** The URL is valid until it is closed. */
export const openUrl = (dataDir: string) => {
  const { name, close } = openDirectory(clusterIn(dataDir))
  const role = `todo:${readPassword(dataDir) ?? ""}`
  return {
    url: `postgres://${role}@localhost/todo?host=${encodeURIComponent(name)}&port=5432`,
    close,
  }
}

/** The URL of a running database in DATA_DIR, valid as long as this process lives. */
export const embeddedUrl = (dataDir: string): string | undefined => {
  const home = resolve(dataDir)
  return existsSync(join(clusterIn(home), socketName)) ? openUrl(home).url : undefined
}
