/** The Postgres server as a process: its user, directory, environment and settings, its start and stop. */
import { closeSync, constants, readFileSync, statSync, watch } from "node:fs"
import { join } from "node:path"
import { openPrivateFile } from "../../data-dir/private-files.ts"
import type { ProcessUser } from "../../programs/directory.ts"

/** A cluster, the programs for it, and the user that runs them. */
export type Installation = { programs: string; cluster: string; user: ProcessUser }

/** Replaces our own environment: PGDATA, PGOPTIONS or a locale would affect the server. */
export const serverEnvironment = { LC_ALL: "C", TZ: "UTC", PATH: "/usr/bin:/bin" }

/**
 * The cluster's path for Postgres. When the service runs as root, DATA_DIR has mode 0700 and Postgres'
 * user cannot reach the cluster by its path. So Postgres is started inside of it.
 */
export const ownDirectory = (cluster: string, user: ProcessUser) =>
  user.uid === undefined ? cluster : "/proc/self/cwd"

const settings = {
  listen_addresses: "",
  unix_socket_directories: ".",
  unix_socket_permissions: "0700",
  // Works without a large /dev/shm, which containers lack, and in spite of RemoveIPC of logind.
  dynamic_shared_memory_type: "mmap",
  io_method: "sync",
  wal_level: "minimal",
  max_wal_senders: "0",
  max_logical_replication_workers: "0",
  max_wal_size: "256MB",
  // Does not log failed statements, which quote what users sent. The service logs the errors itself.
  log_min_messages: "log",
  log_checkpoints: "off",
}

/** The settings as arguments. `others` replaces or adds some. */
export const settingsWith = (others: Record<string, string> = {}) =>
  Object.entries({ ...settings, ...others }).flatMap(([name, value]) => ["-c", `${name}=${value}`])

export type Server = { stop(): Promise<void>; exited: Promise<void> }

const LOG_SIZE_LIMIT = 1_000_000
const STOP_PATIENCE_MS = 5_000
const LEFTOVER_PATIENCE_MS = 10_000

const sizeOf = (path: string) => statSync(path, { throwIfNoEntry: false })?.size ?? 0

const spawnServer = (
  { programs, cluster, user }: Installation,
  logFile: string,
  options: string[],
) => {
  const isFull = sizeOf(logFile) > LOG_SIZE_LIMIT
  const log = openPrivateFile(
    logFile,
    constants.O_WRONLY | constants.O_CREAT | (isFull ? constants.O_TRUNC : constants.O_APPEND),
  )
  try {
    return Bun.spawn(
      [join(programs, "bin", "postgres"), "-D", ownDirectory(cluster, user), ...options],
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

const pidFile = (cluster: string) => join(cluster, "postmaster.pid")

/** What the server of this process says of itself: "starting", "ready" or "stopping". */
const statusOf = (cluster: string, pid: number) => {
  try {
    const lines = readFileSync(pidFile(cluster), "utf8").split("\n")
    return lines[0] === String(pid) ? lines[7]?.trim() : undefined
  } catch {
    return undefined
  }
}

/** After a postmaster was killed, its other processes may need a moment to end. */
const isLeftover = (log: string) => /still in use|lock file .* already exists/.test(log)

export const startServer = async (
  installation: Installation,
  logFile: string,
  connections: number,
): Promise<Server> => {
  const options = settingsWith({ max_connections: String(connections) })
  const deadline = Date.now() + LEFTOVER_PATIENCE_MS
  for (;;) {
    const logStart = sizeOf(logFile)
    const server = spawnServer(installation, logFile, options)
    const guard = spawnGuard(server.pid)
    const exited = server.exited.then(() => guard.kill("SIGKILL"))
    while (server.exitCode === null && server.signalCode === null) {
      if (statusOf(installation.cluster, server.pid) === "ready") {
        // Somebody else may stop it by SIGTERM: then it would refuse new connections and keep the open ones.
        const watcher = watch(pidFile(installation.cluster), () => {
          if (statusOf(installation.cluster, server.pid) === "stopping") server.kill("SIGINT")
        })
        const stop = async () => {
          server.kill("SIGINT")
          const impatience = setTimeout(() => server.kill("SIGQUIT"), STOP_PATIENCE_MS)
          await exited
          clearTimeout(impatience)
        }
        return { stop, exited: exited.then(() => watcher.close()) }
      }
      await Bun.sleep(5)
    }
    await exited
    const log = readFileSync(logFile, "utf8").slice(logStart).trim()
    if (!isLeftover(log) || Date.now() > deadline) throw new Error(`Postgres ended:\n${log}`)
    await Bun.sleep(100)
  }
}
