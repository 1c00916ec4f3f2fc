/** Debian's Postgres 15 on a port of its own, for a test to kill, freeze, replicate and promote. */
import { appendFileSync, chmodSync, chownSync, mkdirSync, readFileSync, rmSync } from "node:fs"
import { join } from "node:path"
import { serverUser } from "../../src/database/embedded/server-user.ts"
import { freePort } from "./ports.ts"
import { openSql } from "./sql.ts"
import { temporaryDirectory } from "./temporary.ts"

const programs = process.env["POSTGRES_15"] ?? "/usr/lib/postgresql/15/bin"

/** A folder for clusters, of the account that Postgres runs under. */
export const clusterDirectory = () => {
  const directory = temporaryDirectory()
  const account = serverUser()
  chmodSync(directory.path, 0o755)
  if (account.uid !== undefined) chownSync(directory.path, account.uid, account.gid ?? account.uid)
  return { ...directory, account }
}

type Directory = ReturnType<typeof clusterDirectory>

/** Runs what follows as the account, with a disk at `mount` that holds a copy of the data. */
const onDisk = (megabytes: number, data: string, mount: string, { uid = 0, gid = 0 }) => [
  ...["unshare", "--mount", "sh", "-c"],
  `mount -t tmpfs -o size=${megabytes}m,mode=0700,uid=${uid},gid=${gid} tmpfs ${mount} &&
    cp -a ${data}/. ${mount} &&
    exec setpriv --reuid=${uid} --regid=${gid} --clear-groups "$@"`,
  "sh",
]

/** `megabytes`: of a disk of its own, where that is given. */
export const createCluster = (directory: Directory, name: string, megabytes?: number) => {
  const { account } = directory
  const data = join(directory.path, name)
  const mount = join(directory.path, "disk")
  const port = freePort()
  let server: Bun.Subprocess | undefined

  const run = (program: string, ...options: string[]) => {
    const command = [join(programs, program), ...options]
    const { success, stderr } = Bun.spawnSync(command, { ...account, cwd: directory.path })
    if (!success) throw new Error(`${program}: ${stderr}`)
  }
  const isReady = () =>
    Bun.spawnSync([join(programs, "pg_isready"), "--quiet", "--host=127.0.0.1", `--port=${port}`])
      .success
  const main = () => Number.parseInt(readFileSync(join(data, "postmaster.pid"), "utf8"), 10)
  const processes = () => {
    const children = Bun.spawnSync(["ps", "-o", "pid=", "--ppid", String(main())])
    return [main(), ...children.stdout.toString().trim().split(/\s+/).map(Number)]
  }
  const signal = (pids: number[], name: NodeJS.Signals) => {
    for (const pid of pids)
      try {
        process.kill(pid, name)
      } catch {
        // It has ended meanwhile.
      }
  }
  const spawn = () => {
    const settings = {
      port: String(port),
      listen_addresses: "127.0.0.1",
      unix_socket_directories: "",
      // What a killed process wrote is not lost with it.
      fsync: "off",
    }
    const command = [
      join(programs, "postgres"),
      ...["-D", megabytes === undefined ? data : mount],
      ...Object.entries(settings).flatMap(([key, value]) => ["-c", `${key}=${value}`]),
    ]
    const isOnDisk = megabytes !== undefined
    server = Bun.spawn(
      isOnDisk ? [...onDisk(megabytes, data, mount, account), ...command] : command,
      {
        ...(isOnDisk ? {} : account),
        cwd: directory.path,
        stdio: ["ignore", "ignore", "ignore"],
      },
    )
  }
  const isRunning = () => server?.exitCode === null && server.signalCode === null
  /** On its own disk, which others see through the process alone. */
  const filler = () => `/proc/${server?.pid}/root${mount}/filler`

  const cluster = {
    port,
    url: `postgres://todo@127.0.0.1:${port}/postgres`,
    initialize() {
      if (megabytes !== undefined) mkdirSync(mount)
      const options = ["--username=todo", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8"]
      run("initdb", `--pgdata=${data}`, ...options, "--no-sync")
    },
    /** What was there is replaced by a standby of the other. */
    copy(primary: { port: number }) {
      rmSync(data, { recursive: true, force: true })
      const from = ["--host=127.0.0.1", `--port=${primary.port}`, "--username=todo"]
      run(
        "pg_basebackup",
        ...from,
        `--pgdata=${data}`,
        "--write-recovery-conf",
        "--checkpoint=fast",
      )
      cluster.set("synchronous_standby_names", "")
    },
    /** Takes connections when it resolves. Until orphans of a killed one have ended it is refused. */
    async start() {
      do {
        if (!isRunning()) spawn()
        await Bun.sleep(20)
      } while (!isReady())
    },
    isRunning,
    async stop() {
      server?.kill("SIGQUIT")
      // A test that fails may leave it frozen.
      server?.kill("SIGCONT")
      await server?.exited
    },
    /** Its main process alone, whose children find that out and end. */
    async killMain() {
      server?.kill("SIGKILL")
      await server?.exited
    },
    /** All its processes, as when the machine is gone. */
    async kill() {
      signal(processes(), "SIGKILL")
      await server?.exited
    },
    /** Until nothing more fits on its disk. */
    fillDisk() {
      const block = Buffer.alloc(4096)
      try {
        for (;;) appendFileSync(filler(), block)
      } catch {
        // It is full.
      }
    },
    freeDisk: () => rmSync(filler()),
    freeze: () => signal(processes(), "SIGSTOP"),
    resume: () => signal(processes(), "SIGCONT"),
    promote: () => run("pg_ctl", "promote", `--pgdata=${data}`),
    set(name: string, value: string) {
      appendFileSync(join(data, "postgresql.auto.conf"), `${name} = '${value}'\n`)
      if (server?.exitCode === null) server.kill("SIGHUP")
    },
    async query<Row extends object>(text: string): Promise<Row[]> {
      await using sql = openSql(cluster.url)
      return await sql.unsafe<Row[]>(text)
    },
    /** Commits wait for a standby from now on; it is there when this resolves. */
    async replicateSynchronously() {
      cluster.set("synchronous_standby_names", "*")
      const standbys = "select from pg_stat_replication where sync_state = 'sync'"
      while ((await cluster.query(standbys)).length === 0) await Bun.sleep(20)
    },
  }
  return cluster
}

export type Cluster = ReturnType<typeof createCluster>

/** A primary, and a standby that has every commit before it is acknowledged. */
export const createPair = async (directory: Directory): Promise<[Cluster, Cluster]> => {
  const primary = createCluster(directory, "a")
  const standby = createCluster(directory, "b")
  primary.initialize()
  await primary.start()
  standby.copy(primary)
  await standby.start()
  await primary.replicateSynchronously()
  return [primary, standby]
}
