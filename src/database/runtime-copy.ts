/** A Postgres installation that the database's account can execute: the one given, or a copy. */
import { randomUUID } from "node:crypto"
import {
  chmodSync,
  cpSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { basename, dirname, join } from "node:path"
import type { Account } from "./account.ts"
import type { Runtime } from "./runtime.ts"

/** Undefined if the server starts; else why not. */
const refusal = (dir: string, account: Account): string | undefined => {
  try {
    const probe = Bun.spawnSync([join(dir, "bin", "postgres"), "--version"], {
      ...account,
      cwd: "/",
      env: {},
      stdout: "ignore",
    })
    return probe.success ? undefined : probe.stderr.toString().trim() || `exit ${probe.exitCode}`
  } catch (error) {
    return String(error)
  }
}

/** Nobody else may have written what is about to be executed. */
const isOurs = (dir: string) => {
  const entry = lstatSync(dir, { throwIfNoEntry: false })
  return entry?.isDirectory() && entry.uid === process.geteuid?.() && (entry.mode & 0o022) === 0
}

/** Whatever the umask is: the account that executes the copy is not the one that made it. */
const openToReaders = (dir: string) => {
  chmodSync(dir, 0o755)
  for (const entry of readdirSync(dir, { recursive: true, withFileTypes: true })) {
    if (entry.isSymbolicLink()) continue
    const path = join(entry.parentPath, entry.name)
    chmodSync(path, entry.isDirectory() || statSync(path).mode & 0o100 ? 0o755 : 0o644)
  }
}

type Link = { source: string; target: string }

/** The package keeps the libraries' links as a list, which only its postinstall turns into links. */
const copy = async (from: string, to: string) => {
  const draft = `${to}.${randomUUID()}`
  mkdirSync(dirname(to), { recursive: true })
  try {
    cpSync(from, draft, {
      recursive: true,
      verbatimSymlinks: true,
      filter: (path) => !path.endsWith(".a") && basename(path) !== "pkgconfig",
    })
    const links = (await Bun.file(join(from, "pg-symlinks.json")).json()) as Link[]
    for (const { source, target } of links) {
      const link = join(draft, target.replace(/^native\//, ""))
      rmSync(link, { force: true })
      symlinkSync(basename(source), link)
    }
    openToReaders(draft)
    rmSync(to, { recursive: true, force: true })
    renameSync(draft, to)
  } finally {
    rmSync(draft, { recursive: true, force: true })
  }
}

/**
 * A copy is needed where links of the libraries are missing, and where root's Postgres account
 * cannot reach the installation, such as in a checkout under a home of mode 0700.
 */
export const executableRuntime = async (runtime: Runtime, account: Account, dataDir: string) => {
  const reason = refusal(runtime.dir, account)
  if (!reason) return runtime.dir
  const reasons = [`${runtime.dir}: ${reason}`]
  const homes = account.uid === undefined ? [dataDir] : ["/var/cache", tmpdir()]
  for (const home of homes) {
    const dir = join(home, `todo-api-postgres-${runtime.version}`)
    try {
      if (isOurs(dir) && !refusal(dir, account)) return dir
      await copy(runtime.dir, dir)
      const reason = refusal(dir, account)
      if (!reason) return dir
      reasons.push(`${dir}: ${reason}`)
    } catch (error) {
      reasons.push(`${dir}: ${error}`)
    }
  }
  throw new Error(`Postgres cannot be executed:\n${reasons.join("\n")}`)
}
