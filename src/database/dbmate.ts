/** Runs dbmate itself, told nothing but what it is given here: no .env file, no environment. */
import { mkdtemp, rm } from "node:fs/promises"
import { join, resolve } from "node:path"
import { parseDatabaseUrl } from "./connection.ts"
import { executableDirectory, inFirstHome, ownHomes } from "./executable.ts"
import { dbmateProgram } from "./runtime.ts"

/** What its driver would not understand it passes on to the server, which refuses it. */
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
  "sslnegotiation",
  "sslrootcert",
  "target_session_attrs",
])

/** The same database in the words of dbmate's driver (lib/pq). */
export const dbmateUrl = (url: string): string => {
  const named = parseDatabaseUrl(url)
  const parameters = named.searchParams
  for (const name of [...parameters.keys()]) if (!understood.has(name)) parameters.delete(name)
  // The driver's default is "require", which a socket or a local server cannot meet.
  if (!parameters.has("sslmode")) {
    const isSocket = parameters.get("host")?.startsWith("/") ?? named.hostname.startsWith("%2F")
    parameters.set("sslmode", isSocket ? "disable" : "prefer")
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
  const directory = await inFirstHome(ownHomes(home), (parent) =>
    mkdtemp(join(parent, "todo-api-migrations-")),
  )
  try {
    for (const [name, text] of Object.entries(files)) await Bun.write(join(directory, name), text)
    const options = ["--env-file", "/dev/null", "--migrations-dir", directory, "--no-dump-schema"]
    const child = Bun.spawn([join(programs, program.executable), ...options, command], {
      cwd: directory,
      env: { DATABASE_URL: dbmateUrl(url) },
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
