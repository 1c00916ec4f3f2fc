/** Starts, guards and stops a Postgres server. */
import { closeSync, constants, readFileSync, statSync } from "node:fs"
import { join } from "node:path"
import { openPrivateFile } from "../../data-dir/private-files.ts"
import { ownDirectory, type Place, serverEnvironment, settingsWith } from "./process.ts"

export type Server = { stop(): Promise<void>; exited: Promise<void> }

const logSizeLimit = 1_000_000
const stopPatienceMs = 5_000
const leftoverPatienceMs = 10_000

const sizeOf = (path: string) => statSync(path, { throwIfNoEntry: false })?.size ?? 0

const spawnServer = ({ programs, cluster, user }: Place, logFile: string) => {
  const isFull = sizeOf(logFile) > logSizeLimit
  const log = openPrivateFile(
    logFile,
    constants.O_WRONLY | constants.O_CREAT | (isFull ? constants.O_TRUNC : constants.O_APPEND),
  )
  try {
    return Bun.spawn(
      [join(programs, "bin", "postgres"), "-D", ownDirectory(cluster, user), ...settingsWith()],
      {
        ...user,
        cwd: cluster,
        env: serverEnvironment,
        stdio: ["ignore", log, log],
        // In its own session, so that Ctrl-C does not stop it before the service has drained.
        detached: true,
      },
    )
  } finally {
    closeSync(log)
  }
}

/** Its input ends when the service has ended, even by kill -9. */
const spawnGuard = (pid: number) =>
  Bun.spawn(["/bin/sh", "-c", 'read -r _; kill -INT "$1"', "guard", String(pid)], {
    env: {},
    stdio: ["pipe", "ignore", "ignore"],
    detached: true,
  })

const isReady = (cluster: string, pid: number) => {
  try {
    const lines = readFileSync(join(cluster, "postmaster.pid"), "utf8").split("\n")
    return lines[0] === String(pid) && lines[7]?.trim() === "ready"
  } catch {
    return false
  }
}

/** After a postmaster was killed, its other processes may need a moment to end. */
const isLeftover = (log: string) => /still in use|lock file .* already exists/.test(log)

export const startServer = async (place: Place, logFile: string): Promise<Server> => {
  const deadline = Date.now() + leftoverPatienceMs
  for (;;) {
    const logStart = sizeOf(logFile)
    const server = spawnServer(place, logFile)
    const guard = spawnGuard(server.pid)
    const exited = server.exited.then(() => guard.kill("SIGKILL"))
    while (server.exitCode === null && server.signalCode === null) {
      if (isReady(place.cluster, server.pid)) {
        const stop = async () => {
          server.kill("SIGINT")
          const impatience = setTimeout(() => server.kill("SIGQUIT"), stopPatienceMs)
          await exited
          clearTimeout(impatience)
        }
        return { stop, exited }
      }
      await Bun.sleep(5)
    }
    await exited
    const log = readFileSync(logFile, "utf8").slice(logStart).trim()
    if (!isLeftover(log) || Date.now() > deadline) throw new Error(`Postgres ended:\n${log}`)
    await Bun.sleep(100)
  }
}
