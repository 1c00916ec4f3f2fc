/** The executable: one file on a bare machine. `bun run test:binary` builds it and names it. */

import { describe, expect, test } from "bun:test"
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs"
import { dirname, join } from "node:path"
import { clientTarball } from "../../.ci/build-client.ts"
import { notices } from "../../.ci/licenses.ts"
import { version } from "../../package.json"
import { startApp } from "../support/app.ts"
import {
  binary,
  type Command,
  program,
  runCommand,
  spawnCommand,
  startCommand,
} from "../support/command.ts"
import { freePort } from "../support/ports.ts"
import { createDatabase, createEmptyDatabase } from "../support/postgres.ts"
import { openSql } from "../support/sql.ts"
import { temporaryDirectory } from "../support/temporary.ts"
import { SECRET_KEY } from "../support/tokens.ts"

const isDebian = process.geteuid?.() === 0 && existsSync("/lib/x86_64-linux-gnu/libc.so.6")
const isRoot = process.geteuid?.() === 0
const nobody = 65534
const asNobody = ["setpriv", `--reuid=${nobody}`, `--regid=${nobody}`, "--clear-groups"]
const withoutNetwork = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]

/** Everything is read-only to what it executes, but for what the kernel provides and one directory. */
const readOnlyBut = (directory: string) => {
  const script = `
    set -e
    mount --make-rprivate /
    mount --bind "$1" "$1"
    awk '{ print $5 }' /proc/self/mountinfo | while read -r point; do
      case $point in
        "$1" | /dev | /dev/pts | /proc* | /sys*) ;;
        *) mount -o remount,bind,ro "$point" ;;
      esac
    done
    shift
    exec "$@"`
  return ["unshare", "--mount", "sh", "-c", script, "sh", directory]
}

/** Of Debian; README.md says what a machine must have. */
const inDebian = (...names: string[]) => names.map((name) => join("/lib/x86_64-linux-gnu", name))
const forTheService = [
  "/lib64/ld-linux-x86-64.so.2",
  ...inDebian("libc.so.6", "libdl.so.2", "libm.so.6", "libpthread.so.0"),
]
const forPostgres = ["/bin/sh", ...inDebian("libgcc_s.so.1", "librt.so.1", "libstdc++.so.6")]

/** A root file system of these files, /proc and /dev: no locale, no certificate, no program. */
const scratchMachine = (uid: number, ...files: string[]) => {
  const root = temporaryDirectory()
  chmodSync(root.path, 0o755)
  const at = (path: string) => join(root.path, path)
  for (const name of ["proc", "dev", "etc", "data"]) mkdirSync(at(name))
  for (const file of files) {
    mkdirSync(at(dirname(file)), { recursive: true })
    copyFileSync(file, at(file))
  }
  copyFileSync(binary ?? "", at("todo-api"))
  writeFileSync(at("etc/passwd"), `todo:x:${uid}:${uid}::/:\n`)
  chmodSync(at("data"), 0o700)
  chownSync(at("data"), uid, uid)
  const script = `
    mount -t proc proc "$1/proc"
    mount --rbind /dev "$1/dev"
    directory=$1
    shift
    exec chroot --userspec=${uid}:${uid} "$directory" "$@"`
  return {
    place: {
      wrapper: ["unshare", "--mount", "sh", "-c", script, "sh", root.path],
      executable: "/todo-api",
    },
    [Symbol.dispose]: root[Symbol.dispose],
  }
}

/** A directory that has the executable, and an empty one to start it in. */
const bareMachine = () => {
  const directory = temporaryDirectory()
  chmodSync(directory.path, 0o755)
  const executable = join(directory.path, "todo-api")
  copyFileSync(binary ?? "", executable)
  const [cwd, dataDir] = [join(directory.path, "empty"), join(directory.path, "data")]
  mkdirSync(cwd)
  mkdirSync(dataDir, { mode: 0o700 })
  return { executable, cwd, dataDir, [Symbol.dispose]: directory[Symbol.dispose] }
}

const execute = async (url: string, statement: string) => {
  await using sql = openSql(url)
  return await sql.unsafe(statement)
}

const expectToWork = async (service: Command) => {
  const ada = await service.account()
  expect((await ada.post("/todos", { title: "Buy milk" })).status).toBe(201)
  expect(await service.stop()).toBe(0)
}

test("client writes the npm package of this version, the same bytes each time", async () => {
  using directory = temporaryDirectory()
  const file = join(directory.path, "client.tgz")
  expect(await runCommand(["client", file])).toEqual({ code: 0, out: "", err: "" })
  const printed = spawnCommand(["client", "-"], {})
  expect(await printed.stdout.bytes()).toEqual(await Bun.file(file).bytes())
  expect(readFileSync(file).equals(await clientTarball())).toBe(true)
  Bun.spawnSync(["tar", "xzf", file], { cwd: directory.path })
  const manifest = await Bun.file(join(directory.path, "package", "package.json")).json()
  expect(manifest).toMatchObject({ name: "todo-api", version })
})

describe.if(binary !== undefined)("the executable", () => {
  test("is at most 150 MB", () => {
    expect(statSync(binary ?? "").size).toBeLessThan(150e6)
  })

  test("prints the notices of every package, of Bun, of Postgres and of what they link", async () => {
    const { code, out, err } = await runCommand(["licenses"])
    expect({ code, err }).toEqual({ code: 0, err: "" })
    expect(out).toBe(notices(join(import.meta.dir, "../..")))
  })

  test("moves a service by a pipe: backup - | restore -", async () => {
    using machine = bareMachine()
    const from = { DATA_DIR: machine.dataDir }
    const to = { DATA_DIR: join(machine.cwd, "data") }
    const service = await startCommand(from)
    await service.account("ada@example.org", "correct horse")
    await service.stop()
    const backup = spawnCommand(["backup", "-", "--with-secret"], from)
    const restored = Bun.spawn([...program, "restore", "-"], {
      env: to,
      stdio: [backup.stdout, "ignore", "pipe"],
    })
    expect([await restored.exited, await restored.stderr.text()]).toEqual([0, expect.anything()])
    expect((await runCommand(["user", "list"], to)).out).toContain("ada@example.org")
  })

  test("names its commit", async () => {
    const { out } = await runCommand(["--version"])
    expect(out).toMatch(/^todo-api \S+ \(commit [0-9a-f]{12}\+?\)\n$/)
  })

  test("serves without any environment, from a directory with files that it was not asked to read", async () => {
    using machine = bareMachine()
    const { cwd } = machine
    writeFileSync(join(cwd, ".env"), "HOST=nowhere\nALGORITHM=none\n")
    writeFileSync(join(cwd, "bunfig.toml"), 'preload = ["./preload.ts"]\n')
    writeFileSync(join(cwd, "preload.ts"), "process.exit(3)\n")
    const wrapper = ["env", "-i", "PORT=0"]
    await using service = await startCommand({}, { ...machine, wrapper })
    expect(statSync(join(cwd, "data")).mode & 0o777).toBe(0o700)
    await expectToWork(service)
  })

  test("reads the file of variables that it is asked to read", async () => {
    using machine = bareMachine()
    const file = join(machine.cwd, "settings")
    writeFileSync(file, "ALGORITHM=none\nPORT=none\n")
    const args = ["serve", "--env-file", file]
    const { code, err } = await runCommand(args, {}, machine)
    expect(code).toBe(78)
    expect(err).toContain("ALGORITHM")
    expect(err).not.toContain("PORT")
    expect((await runCommand(["--env-file", "/nowhere"])).code).toBe(78)
  })

  test.if(isRoot)("serves as an ordinary user", async () => {
    using machine = bareMachine()
    const { dataDir } = machine
    chownSync(dataDir, nobody, nobody)
    await using service = await startCommand(
      { DATA_DIR: dataDir },
      { ...machine, wrapper: asNobody },
    )
    expect(statSync(join(dataDir, "postgres")).uid).toBe(nobody)
    for (const name of readdirSync(dataDir)) {
      const { uid, mode } = statSync(join(dataDir, name))
      expect({ name, uid, shared: mode & 0o022 }).toEqual({ name, uid: nobody, shared: 0 })
    }
    await expectToWork(service)
  })

  test.if(isRoot)("names a DATA_DIR that is another's", async () => {
    using machine = bareMachine()
    const place = { ...machine, wrapper: asNobody }
    const { code, err } = await runCommand(["serve"], { DATA_DIR: machine.dataDir }, place)
    expect({ code, err }).toEqual({
      code: 78,
      err: expect.stringContaining(`DATA_DIR ${machine.dataDir} belongs to user 0`),
    })
  })

  for (const [who, wrapper, uid] of [
    ["root", [], 0],
    ["an ordinary user", asNobody, nobody],
  ] as const) {
    test.if(isRoot)(`serves on a read-only file system, but for DATA_DIR, as ${who}`, async () => {
      using machine = bareMachine()
      const { dataDir } = machine
      chownSync(dataDir, uid, uid)
      await using service = await startCommand(
        { DATA_DIR: dataDir },
        { ...machine, wrapper: [...readOnlyBut(dataDir), ...wrapper] },
      )
      expect(statSync(dataDir).mode & 0o027).toBe(0)
      await expectToWork(service)
    })
  }

  test.if(isDebian)("serves on a machine that has the C library, C++'s and a shell", async () => {
    using machine = scratchMachine(nobody, ...forTheService, ...forPostgres)
    await expectToWork(await startCommand({}, machine.place))
  })

  test.if(isDebian)("needs nothing but the C library where the database is elsewhere", async () => {
    // As root, because the tests' database is behind a socket in somebody else's directory.
    using machine = scratchMachine(0, ...forTheService)
    const database = await createEmptyDatabase()
    await expectToWork(await startCommand({ DATABASE_URL: database.url }, machine.place))
    await database.drop()
  })

  test.if(isRoot)("needs no network but loopback", async () => {
    using machine = bareMachine()
    // One at which nobody listens outside.
    const port = String(freePort())
    const place = { ...machine, wrapper: withoutNetwork }
    await using service = await startCommand({ PORT: port }, place)
    const inside = ["nsenter", "--net", "--target", String(service.pid)]
    const { code, out } = await runCommand(["healthcheck"], { PORT: port }, { wrapper: inside })
    expect({ code, out }).toEqual({ code: 0, out: "ready\n" })
    expect((await runCommand(["healthcheck"], { PORT: port })).code).toBe(1)
  })

  test("instances that start at once on an empty database migrate it once", async () => {
    using machine = bareMachine()
    const database = await createEmptyDatabase()
    const env = { DATABASE_URL: database.url, TMPDIR: machine.dataDir }
    const services = await Promise.all([1, 2, 3].map(() => startCommand(env, machine)))
    await Promise.all(services.map(expectToWork))
    const logs = await Promise.all(services.map(({ log }) => log()))
    const migrations = await execute(database.url, "select from schema_migrations")
    await database.drop()
    expect(logs.join("").match(/migration applied/g)?.length).toBe(migrations.length)
    // Others may write to TMPDIR: what was unpacked there is gone.
    expect(readdirSync(machine.dataDir)).toEqual([])
  })

  test("what it unpacked and somebody damaged is mended before it is executed", async () => {
    using machine = bareMachine()
    const { dataDir } = machine
    const env = { DATA_DIR: dataDir }
    await runCommand(["migrate", "up"], env, machine)
    const programs = readdirSync(dataDir).find((name) => name.startsWith("todo-api-dbmate")) ?? ""
    truncateSync(join(dataDir, programs, "bin", "dbmate"), 1_000)
    const { code, out } = await runCommand(["migrate", "down"], env, machine)
    expect(out).toContain("rolled back")
    expect(code).toBe(0)
  })

  test("refuses a database that is newer than it, unless told that this is a roll-back", async () => {
    const database = await createDatabase()
    await execute(database.url, "insert into schema_migrations values ('99990101000000')")
    const env = { DATABASE_URL: database.url, SECRET_KEY }
    const { code, err } = await runCommand(["serve"], env)
    expect(code).toBe(1)
    expect(err).toContain("99990101000000")
    expect(err).toContain("--allow-newer-schema")
    await expectToWork(await startCommand(env, { args: ["--allow-newer-schema"] }))
    await database.drop()
  })

  test("ends with the reason when a migration fails, and listens at no time", async () => {
    const database = await createEmptyDatabase()
    await execute(database.url, "create table users ()")
    const { code, out, err } = await runCommand(["serve"], {
      DATABASE_URL: database.url,
      SECRET_KEY,
    })
    await database.drop()
    expect(code).toBe(1)
    expect(err).toMatch(/Migration failed: .*_users\.sql .*already exists/)
    expect(out).not.toContain("listens")
  })

  test("answers an internal error without its source, whatever NODE_ENV says", async () => {
    await using app = await startApp({ NODE_ENV: "development" })
    const ada = await app.account()
    await ada.post("/todos", { title: "milk" })
    await execute(
      app.databaseUrl,
      `alter table todos rename to away;
      create view todos as select * from away where 1 / (id - id) = 0`,
    )
    const { status, body, text } = await ada.get("/todos/1")
    expect(status).toBe(500)
    expect(body).toMatchObject({ error_code: "INTERNAL_ERROR" })
    expect(text).not.toMatch(/todos|\$bunfs|\bat\b|select/)
  })
})
