/** Creates the database cluster in DATA_DIR/postgres, completely or not at all. */
import { chownSync, existsSync, mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs"
import { join } from "node:path"
import { syncDirectory, writePrivateFile } from "../../data-dir/private-files.ts"
import { ownDirectory, type Place, serverEnvironment } from "./process.ts"
import { isSetUp, SUPERUSER, setUpRoles } from "./roles.ts"
import { newPassword, passwordFile, readPassword } from "./url.ts"

const draftPrefix = "postgres.new-"

const initialise = async ({ programs, cluster, user }: Place) => {
  const initdb = Bun.spawn(
    [
      join(programs, "bin", "initdb"),
      `--pgdata=${ownDirectory(cluster, user)}`,
      `--username=${SUPERUSER}`,
      "--auth=reject",
      "--encoding=UTF8",
      "--locale-provider=builtin",
      "--builtin-locale=C.UTF-8",
      // For the C library: the only locale that every machine has.
      "--locale=C",
    ],
    { ...user, cwd: cluster, env: serverEnvironment, stdout: "ignore", stderr: "pipe" },
  )
  const [complaint, status] = await Promise.all([initdb.stderr.text(), initdb.exited])
  if (status !== 0) throw new Error(`initdb failed (status ${status}): ${complaint.trim()}`)
}

const removeDrafts = (dataDir: string) => {
  for (const name of readdirSync(dataDir))
    if (name.startsWith(draftPrefix)) rmSync(join(dataDir, name), { recursive: true, force: true })
}

const createCluster = async (place: Place, dataDir: string, password: string) => {
  const draft = mkdtempSync(join(dataDir, draftPrefix))
  try {
    const { uid, gid } = place.user
    if (uid !== undefined) chownSync(draft, uid, gid ?? uid)
    await initialise({ ...place, cluster: draft })
    await setUpRoles({ ...place, cluster: draft }, password)
    writePrivateFile(passwordFile(dataDir), password)
    renameSync(draft, place.cluster)
    syncDirectory(dataDir)
  } catch (error) {
    rmSync(draft, { recursive: true, force: true })
    throw error
  }
}

/** Creates the cluster if there is none, and brings one of an earlier release up to date. */
export const prepareCluster = async (place: Place, dataDir: string) => {
  removeDrafts(dataDir)
  const known = readPassword(dataDir)
  const password = known ?? newPassword()
  if (!existsSync(place.cluster)) return createCluster(place, dataDir, password)
  if (known !== undefined && isSetUp(place.cluster)) return
  await setUpRoles(place, password)
  // Written last: while it is missing, everything is done again.
  writePrivateFile(passwordFile(dataDir), password)
}
