/** How the programs of Postgres are run: user, directory, environment and settings. */
import type { ProcessUser } from "../../programs/directory.ts"

/** A cluster, the programs for it, and the user that runs them. */
export type Place = { programs: string; cluster: string; user: ProcessUser }

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
  max_connections: "100",
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
