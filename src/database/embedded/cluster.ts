/** The database cluster in DATA_DIR/postgres: made whole or not at all. */
import { chownSync, existsSync, mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs"
import { join } from "node:path"
import { syncDirectory } from "../../data-dir.ts"
import type { ProcessUser } from "../../programs/directory.ts"

const draftPrefix = "postgres.new-"

/** Nothing from our own environment: PGDATA, PGOPTIONS or a locale would change the server. */
export const serverEnvironment = { LC_ALL: "C", TZ: "UTC", PATH: "/usr/bin:/bin" }

/**
 * How Postgres names its own directory. Root's DATA_DIR has mode 0700, so the user cannot
 * reach the cluster by its path; it is started inside of it instead.
 */
export const ownDirectory = (cluster: string, user: ProcessUser) =>
  user.uid === undefined ? cluster : "/proc/self/cwd"

export const createCluster = async (
  cluster: string,
  dataDir: string,
  programs: string,
  user: ProcessUser,
) => {
  for (const name of readdirSync(dataDir)) {
    if (name.startsWith(draftPrefix)) rmSync(join(dataDir, name), { recursive: true, force: true })
  }
  if (existsSync(cluster)) return
  const draft = mkdtempSync(join(dataDir, draftPrefix))
  if (user.uid !== undefined) chownSync(draft, user.uid, user.gid ?? user.uid)
  const initdb = Bun.spawn(
    [
      join(programs, "bin", "initdb"),
      `--pgdata=${ownDirectory(draft, user)}`,
      "--username=todo",
      "--auth=trust",
      "--encoding=UTF8",
      "--locale-provider=builtin",
      "--builtin-locale=C.UTF-8",
      // What Postgres asks the C library for: the one locale that no machine lacks.
      "--locale=C",
    ],
    { ...user, cwd: draft, env: serverEnvironment, stdout: "ignore", stderr: "pipe" },
  )
  const [complaint, status] = await Promise.all([new Response(initdb.stderr).text(), initdb.exited])
  if (status !== 0) {
    rmSync(draft, { recursive: true, force: true })
    throw new Error(`initdb failed in ${dataDir} (status ${status}): ${complaint.trim()}`)
  }
  renameSync(draft, cluster)
  syncDirectory(dataDir)
}
