/** Runs dbmate itself, told nothing but what it is given here: no .env file, no environment. */
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { getCACertificates } from "node:tls"
import { makeDataDir } from "../../data-dir/directory.ts"
import { executableDirectory, inFirstHome, ownHomes } from "../../programs/directory.ts"
import { dbmateProgram } from "../../programs/program.ts"
import { offersTls } from "../tls.ts"
import { connectionOptions, parseDatabaseUrl } from "../url.ts"

/**
 * What its driver would not understand it passes on to the server, which refuses it. Some platforms
 * have an older dbmate (see package.json): only what both understand is said.
 */
const understood = new Set([
  "application_name",
  "connect_timeout",
  "host",
  "options",
  "port",
  "search_path",
  "sslcert",
  "sslkey",
  "sslmode",
  "sslrootcert",
])

/** The driver's words for what the service itself does: older ones do not know "prefer". */
const sslMode = async (url: string) => {
  const { host, port, ssl } = connectionOptions(url)
  if (ssl === false) return "disable"
  if (ssl === "prefer") return (await offersTls(host, port)) ? "require" : "disable"
  if (ssl === "require") return ssl
  return ssl.checkServerIdentity ? "verify-ca" : "verify-full"
}

/** The same database in the words of dbmate's driver (lib/pq). */
const dbmateUrl = async (url: string, authorities: string): Promise<string> => {
  const named = parseDatabaseUrl(url)
  const parameters = named.searchParams
  for (const name of [...parameters.keys()]) if (!understood.has(name)) parameters.delete(name)
  const mode = await sslMode(url)
  parameters.set("sslmode", mode)
  const file = parameters.get("sslrootcert")
  if (mode.startsWith("verify") && (file === null || file === "system")) {
    // Where the system has none, as in a container, the service is content with Bun's.
    await Bun.write(authorities, getCACertificates().join("\n"))
    parameters.set("sslrootcert", authorities)
  }
  // Without it a statement takes two round trips, which a pooler may send to two servers.
  parameters.set("binary_parameters", "yes")
  return named.toString()
}

/** Rejects with dbmate's reason unless its exit status is 0: it logs success for failures too. */
export const dbmate = async (
  url: string,
  dataDir: string,
  files: Record<string, string>,
  command: "migrate" | "rollback",
): Promise<void> => {
  const program = dbmateProgram()
  const home = resolve(dataDir)
  const programs = await executableDirectory(program, {}, home)
  const directory = await inFirstHome(ownHomes(home), (parent) => {
    if (parent !== tmpdir()) makeDataDir(parent)
    return mkdtemp(join(parent, "todo-api-migrations-"))
  })
  try {
    for (const [name, text] of Object.entries(files)) await Bun.write(join(directory, name), text)
    const options = ["--env-file", "/dev/null", "--migrations-dir", directory, "--no-dump-schema"]
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
