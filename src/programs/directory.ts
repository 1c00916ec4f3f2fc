/** Finds a directory from which a program can be executed: installed there, or unpacked into it. */
import { chmodSync, chownSync, existsSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import { basename, join } from "node:path"
import { contentName, placeFiles } from "./files.ts"
import type { Program } from "./program.ts"

/** The user of a program, for Bun.spawn. Empty for the service's own user. */
export type ProcessUser = { uid?: number; gid?: number }

/** Prefers DATA_DIR if it exists, but does not create it unless it is needed. */
export const ownHomes = (dataDir: string) =>
  existsSync(dataDir) ? [dataDir, tmpdir()] : [tmpdir(), dataDir]

/** The result of `use` with the first of these directories for which it does not fail. */
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

const OTHERS_PASS = 0o001

/** Lets Postgres' user pass through root's DATA_DIR, but not list it. */
const letThrough = (home: string, { uid, gid }: ProcessUser) => {
  const owner = statSync(home)
  if (uid === undefined || gid === undefined || owner.uid === uid) return
  if (owner.mode & OTHERS_PASS) return
  chownSync(home, -1, gid)
  chmodSync(home, owner.mode | 0o010)
}

/** Throws the reason if the program does not start. */
const expectToStart = (program: Program, directory: string, user: ProcessUser) => {
  const probe = Bun.spawnSync([join(directory, program.executable), "--version"], {
    ...user,
    cwd: "/",
    env: {},
    stdout: "ignore",
  })
  if (!probe.success) throw new Error(probe.stderr.toString().trim() || `exit ${probe.exitCode}`)
}

const unpack = async (program: Program, home: string, user: ProcessUser) => {
  const files = program.files()
  const name = ["todo-api", basename(program.executable), contentName(files), user.gid]
  const directory = join(home, name.filter((part) => part !== undefined).join("-"))
  await placeFiles(files, directory, user.gid)
  letThrough(home, user)
  return directory
}

/**
 * An installation is not used if the links of its libraries are missing, or if Postgres' user cannot
 * reach it, as in a checkout under a home of mode 0700. Otherwise the program is unpacked into the first of
 * `homes` from which it starts. None of them may be open to others.
 */
export const executableDirectory = (
  program: Program,
  user: ProcessUser,
  homes: string[],
): Promise<string> => {
  const { installed } = program
  return inFirstHome(installed ? [installed, ...homes] : homes, async (home) => {
    const directory = home === installed ? installed : await unpack(program, home, user)
    expectToStart(program, directory, user)
    return directory
  })
}
