/** A directory from which a program can be executed: where it is installed, or where it is put. */
import { existsSync } from "node:fs"
import { tmpdir } from "node:os"
import { basename, join } from "node:path"
import { letThrough, makeDataDir } from "../data-dir.ts"
import type { Account } from "../database/embedded/server-user.ts"
import { contentName, placeFiles } from "./files.ts"
import type { Program } from "./program.ts"

/** DATA_DIR is not made where it is not needed. */
export const ownHomes = (dataDir: string) =>
  existsSync(dataDir) ? [dataDir, tmpdir()] : [tmpdir(), dataDir]

/** Root's DATA_DIR is private to root, so another account is let into it only if it must be. */
export const homesFor = (account: Account, dataDir: string) =>
  account.uid === undefined ? ownHomes(dataDir) : ["/var/cache", tmpdir(), dataDir]

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

/** Throws the reason why not. */
const expectToStart = (program: Program, directory: string, account: Account) => {
  const probe = Bun.spawnSync([join(directory, program.executable), "--version"], {
    ...account,
    cwd: "/",
    env: {},
    stdout: "ignore",
  })
  if (!probe.success) throw new Error(probe.stderr.toString().trim() || `exit ${probe.exitCode}`)
}

const starts = (program: Program, directory: string, account: Account) => {
  try {
    expectToStart(program, directory, account)
    return true
  } catch {
    return false
  }
}

/**
 * An installation is not used where its libraries' links are missing, or where root's Postgres
 * account cannot reach it, such as in a checkout under a home of mode 0700.
 */
export const executableDirectory = async (program: Program, account: Account, dataDir: string) => {
  if (program.installed && starts(program, program.installed, account)) return program.installed
  const files = program.files()
  const name = ["todo-api", basename(program.executable), contentName(files), account.gid]
  return inFirstHome(homesFor(account, dataDir), async (home) => {
    if (home === dataDir) makeDataDir(dataDir)
    const directory = join(home, name.filter((part) => part !== undefined).join("-"))
    await placeFiles(files, directory, account.gid)
    if (home === dataDir) letThrough(dataDir, account)
    expectToStart(program, directory, account)
    return directory
  })
}
