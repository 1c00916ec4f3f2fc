/** A directory from which a program can be executed: where it is installed, or where it is put. */
import { chmodSync, chownSync, existsSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import { basename, join } from "node:path"
import { makeDataDir } from "../data-dir/directory.ts"
import { contentName, placeFiles } from "./files.ts"
import type { Program } from "./program.ts"

/** As whom a program runs, for Bun.spawn; empty where the service's own user will do. */
export type ProcessUser = { uid?: number; gid?: number }

/** DATA_DIR is not made where it is not needed. */
export const ownHomes = (dataDir: string) =>
  existsSync(dataDir) ? [dataDir, tmpdir()] : [tmpdir(), dataDir]

/** Root's DATA_DIR is private to root, so another user is let into it only if it must be. */
const homesFor = (user: ProcessUser, dataDir: string) =>
  user.uid === undefined ? ownHomes(dataDir) : ["/var/cache", tmpdir(), dataDir]

/** What `use` makes of the first of these directories where it does not fail. */
export const inFirstHome = async <Result>(
  homes: string[],
  use: (home: string) => Promise<Result>,
): Promise<Result> => {
  const reasons: string[] = []
  for (const home of homes) {
    try {
      return await use(home)
    } catch (error) {
      reasons.push(`${home}: ${error instanceof Error ? error.message : error}`)
    }
  }
  throw new Error(`There is no directory to unpack into and execute from:\n${reasons.join("\n")}`)
}

/** Lets root's Postgres user pass through to what is readable for it, and list nothing. */
const letThrough = (dataDir: string, { uid, gid }: ProcessUser) => {
  const owner = statSync(dataDir)
  if (uid === undefined || gid === undefined || owner.uid === uid) return
  chownSync(dataDir, -1, gid)
  chmodSync(dataDir, owner.mode | 0o010)
}

/** Throws the reason why not. */
const expectToStart = (program: Program, directory: string, user: ProcessUser) => {
  const probe = Bun.spawnSync([join(directory, program.executable), "--version"], {
    ...user,
    cwd: "/",
    env: {},
    stdout: "ignore",
  })
  if (!probe.success) throw new Error(probe.stderr.toString().trim() || `exit ${probe.exitCode}`)
}

const starts = (program: Program, directory: string, user: ProcessUser) => {
  try {
    expectToStart(program, directory, user)
    return true
  } catch {
    return false
  }
}

/**
 * An installation is not used where its libraries' links are missing, or where root's Postgres
 * user cannot reach it, such as in a checkout under a home of mode 0700.
 */
export const executableDirectory = async (program: Program, user: ProcessUser, dataDir: string) => {
  if (program.installed && starts(program, program.installed, user)) return program.installed
  const files = program.files()
  const name = ["todo-api", basename(program.executable), contentName(files), user.gid]
  return inFirstHome(homesFor(user, dataDir), async (home) => {
    if (home === dataDir) makeDataDir(dataDir)
    const directory = join(home, name.filter((part) => part !== undefined).join("-"))
    await placeFiles(files, directory, user.gid)
    if (home === dataDir) letThrough(dataDir, user)
    expectToStart(program, directory, user)
    return directory
  })
}
