/** How Postgres' own programs are run: as whom, from where, with which settings. */
import type { ProcessUser } from "../../programs/directory.ts"

/** A cluster, and what is needed to run Postgres on it. */
export type Place = { programs: string; cluster: string; user: ProcessUser }

/** Nothing from our own environment: PGDATA, PGOPTIONS or a locale would change the server. */
export const serverEnvironment = { LC_ALL: "C", TZ: "UTC", PATH: "/usr/bin:/bin" }

/**
 * How Postgres names its own directory. Root's DATA_DIR has mode 0700, so the user cannot
 * reach the cluster by its path; it is started inside of it instead.
 */
export const ownDirectory = (cluster: string, user: ProcessUser) =>
  user.uid === undefined ? cluster : "/proc/self/cwd"

const settings = {
  listen_addresses: "",
  unix_socket_directories: ".",
  unix_socket_permissions: "0700",
  // Needs neither a large /dev/shm, which containers lack, nor logind's leave (RemoveIPC).
  dynamic_shared_memory_type: "mmap",
  io_method: "sync",
  max_connections: "100",
  wal_level: "minimal",
  max_wal_senders: "0",
  max_logical_replication_workers: "0",
  max_wal_size: "256MB",
  // Not the failed statements: they quote what users sent, and the service knows them anyway.
  log_min_messages: "log",
  log_checkpoints: "off",
}

/** As arguments, with others in place of some of them. */
export const settingsWith = (others: Record<string, string> = {}) =>
  Object.entries({ ...settings, ...others }).flatMap(([name, value]) => ["-c", `${name}=${value}`])
