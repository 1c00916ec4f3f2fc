/** Runs dbmate, with only what it gets here: without a .env file, and without our environment. */
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { getCACertificates } from "node:tls"
import { connectionOptions, hostUrls } from "../../config/database-url.ts"
import { makeDataDir } from "../../data-dir/directory.ts"
import { executableDirectory, inFirstHome, ownHomes } from "../../programs/directory.ts"
import { dbmateProgram, type Program } from "../../programs/program.ts"
import { answers } from "../driver.ts"

/** The URL of the same database for dbmate's driver (lib/pq), which passes what it does not know on. */
const dbmateUrl = async (url: string, authorities: string): Promise<string> => {
  const [single = url] = hostUrls(url)
  const { sslmode } = connectionOptions(single)
  const named = new URL(single)
  const parameters = named.searchParams
  parameters.delete("target_session_attrs")
  const isOptional = sslmode === "allow" || sslmode === "prefer"
  // Not every version of its driver knows these two.
  const mode = isOptional
    ? (await answers(single, { ssl: "require" }))
      ? "require"
      : "disable"
    : sslmode
  parameters.set("sslmode", mode)
  const file = parameters.get("sslrootcert")
  if (mode.startsWith("verify") && (file === null || file === "system")) {
    // The authorities of Bun, as for the service: a container may have none of its own.
    await Bun.write(authorities, getCACertificates().join("\n"))
    parameters.set("sslrootcert", authorities)
  }
  // Otherwise a statement takes two round trips, which a pooler may send to different servers.
  parameters.set("binary_parameters", "yes")
  return named.toString()
}

/**
 * A directory for the migrations, and the one that dbmate is executed from. Where there is no DATA_DIR, a
 * directory that nobody can foresee: others may write to the one for temporary files.
 */
const prepareDirectories = (program: Program, home: string) =>
  inFirstHome(ownHomes(home), async (parent) => {
    const isOwn = parent !== tmpdir()
    if (isOwn) makeDataDir(parent)
    const directory = await mkdtemp(join(parent, "todo-api-migrations-"))
    try {
      const programs = await executableDirectory(program, {}, [isOwn ? parent : directory])
      return { directory, programs }
    } catch (error) {
      await rm(directory, { recursive: true, force: true })
      throw error
    }
  })

/** Rejects with dbmate's message unless its exit status is 0. It logs success for failures, too. */
export const dbmate = async (
  url: string,
  dataDir: string,
  files: Record<string, string>,
  command: "migrate" | "rollback",
  schema: string,
): Promise<void> => {
  const program = dbmateProgram()
  const { directory, programs } = await prepareDirectories(program, resolve(dataDir))
  try {
    for (const [name, text] of Object.entries(files)) await Bun.write(join(directory, name), text)
    const options = [
      ...["--env-file", "/dev/null", "--migrations-dir", ".", "--no-dump-schema"],
      ...["--migrations-table", `${schema}.schema_migrations`],
    ]
    const child = Bun.spawn([join(programs, program.executable), ...options, command], {
      cwd: directory,
      env: { DATABASE_URL: await dbmateUrl(url, join(directory, "authorities.pem")) },
      stdio: ["ignore", "pipe", "pipe"],
    })
    const [progress, complaint] = await Promise.all([child.stdout.text(), child.stderr.text()])
    if ((await child.exited) !== 0) {
      const file = /\S+\.sql/.exec(progress.trim().split("\n").at(-1) ?? "")?.[0] ?? ""
      throw new Error(`Migration failed: ${file} ${complaint.trim().replace(/^Error: /, "")}`)
    }
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}
