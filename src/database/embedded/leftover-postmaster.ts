/** Ends a Postgres that outlived its service, so that another can start on the same data. */
import { readFileSync, rmSync, statSync } from "node:fs"
import { join } from "node:path"

const isPostmasterOf = (cluster: string, pid: number) => {
  if (process.platform !== "linux") {
    const command = Bun.spawnSync(["ps", "-o", "command=", "-p", String(pid)]).stdout.toString()
    return command.includes("postgres") && command.includes(cluster)
  }
  try {
    const own = statSync(cluster)
    const directory = statSync(`/proc/${pid}/cwd`)
    const name = readFileSync(`/proc/${pid}/comm`, "utf8").trim()
    return name === "postgres" && directory.ino === own.ino && directory.dev === own.dev
  } catch {
    return false
  }
}

/** Fast shutdown, immediate shutdown, kill. Postgres recovers from each of them. */
const escalation = [
  ["SIGINT", 10_000],
  ["SIGQUIT", 3_000],
  ["SIGKILL", 3_000],
] as const

/** The caller must hold the lock on DATA_DIR: then a server that runs there belongs to no service. */
export const endLeftoverPostmaster = async (cluster: string) => {
  const pidFile = join(cluster, "postmaster.pid")
  const pid = await Bun.file(pidFile)
    .text()
    .then(Number.parseInt, () => Number.NaN)
  if (Number.isNaN(pid)) return
  for (const [signal, patienceMs] of escalation) {
    if (!isPostmasterOf(cluster, pid)) break
    try {
      process.kill(pid, signal)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error
    }
    const deadline = Date.now() + patienceMs
    while (isPostmasterOf(cluster, pid) && Date.now() < deadline) await Bun.sleep(20)
  }
  if (isPostmasterOf(cluster, pid)) throw new Error(`Postgres (process ${pid}) does not end`)
  // Process ids are reused, in containers at once, so that a stale file would keep Postgres from starting.
  // Removing it is safe: Postgres also checks by its shared memory whether old processes are left.
  rmSync(pidFile, { force: true })
  rmSync(join(cluster, ".s.PGSQL.5432.lock"), { force: true })
}
