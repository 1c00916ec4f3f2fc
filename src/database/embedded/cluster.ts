/**
 * Creates the database cluster in DATA_DIR/postgres, completely or not at all. The role `todo` owns the
 * service's database, has a password and is no superuser. The superuser cannot log in at all, so that the
 * role is made in Postgres' single-user mode, which asks for no password.
 */
import {
  chownSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
} from "node:fs"
import { join } from "node:path"
import { ConfigError } from "../../config/config.ts"
import { syncDirectory, writePrivateFile } from "../../data-dir/private-files.ts"
import { type Installation, ownDirectory, serverEnvironment, settingsWith } from "./server.ts"
import { newPassword, passwordFile, readPassword } from "./url.ts"

const DRAFT_PREFIX = "postgres.new-"
const SUPERUSER = "superuser"
const HEADER = "# Written by todo-api: only the service is let in.\n"
const ACCESS = `${HEADER}local todo todo scram-sha-256\n`

/** Runs a program of Postgres to its end. */
const run = async (installation: Installation, program: string, options: string[], input = "") => {
  const { programs, cluster, user } = installation
  const child = Bun.spawn([join(programs, "bin", program), ...options], {
    ...user,
    cwd: cluster,
    env: serverEnvironment,
    stdin: Buffer.from(input),
    stdout: "ignore",
    stderr: "pipe",
  })
  const [complaint, status] = await Promise.all([child.stderr.text(), child.exited])
  if (status !== 0) throw new Error(`${program} failed (status ${status}): ${complaint.trim()}`)
}

const initialise = async (installation: Installation, password: string) => {
  const directory = ownDirectory(installation.cluster, installation.user)
  await run(installation, "initdb", [
    `--pgdata=${directory}`,
    `--username=${SUPERUSER}`,
    "--auth=reject",
    "--encoding=UTF8",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    // For the C library: the only locale that every machine has.
    "--locale=C",
  ])
  const settings = settingsWith({ exit_on_error: "on", log_min_messages: "error" })
  await run(
    installation,
    "postgres",
    ["--single", "-j", "-D", directory, ...settings, "postgres"],
    `create role todo login password '${password}';\n\ncreate database todo owner todo;\n\n`,
  )
  writePrivateFile(join(installation.cluster, "pg_hba.conf"), ACCESS, installation.user)
}

const removeDrafts = (dataDir: string) => {
  for (const name of readdirSync(dataDir))
    if (name.startsWith(DRAFT_PREFIX)) rmSync(join(dataDir, name), { recursive: true, force: true })
}

/** One that trusts others, or whose password is lost. */
const refuseOther = (cluster: string, dataDir: string) => {
  const file = join(cluster, "pg_hba.conf")
  const isOurs = existsSync(file) && readFileSync(file, "utf8").startsWith(HEADER)
  if (isOurs && readPassword(dataDir) !== undefined) return
  throw new ConfigError(
    `DATA_DIR ${dataDir} holds a database that this todo-api did not set up: its ` +
      `${isOurs ? "postgres_password is missing" : "pg_hba.conf is not the service's"}. ` +
      "Nothing was touched. Name another DATA_DIR, and restore a backup into it.",
  )
}

/** Creates the cluster if there is none. */
export const prepareCluster = async (installation: Installation, dataDir: string) => {
  removeDrafts(dataDir)
  if (existsSync(installation.cluster)) return refuseOther(installation.cluster, dataDir)
  const password = readPassword(dataDir) ?? newPassword()
  const draft = mkdtempSync(join(dataDir, DRAFT_PREFIX))
  try {
    const { uid, gid } = installation.user
    if (uid !== undefined) chownSync(draft, uid, gid ?? uid)
    await initialise({ ...installation, cluster: draft }, password)
    writePrivateFile(passwordFile(dataDir), password)
    renameSync(draft, installation.cluster)
    syncDirectory(dataDir)
  } catch (error) {
    rmSync(draft, { recursive: true, force: true })
    throw error
  }
}
