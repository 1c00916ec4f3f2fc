/** The command line: what it prints, and its exit codes. */
import { expect, test } from "bun:test"
import { writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { version } from "../../package.json"
import { program, runCommand, spawnCommand, startCommand } from "../support/command.ts"
import { query } from "../support/embedded.ts"
import { freePort } from "../support/ports.ts"
import { createDatabase, createEmptyDatabase } from "../support/postgres.ts"
import { temporaryDirectory } from "../support/temporary.ts"
import { SECRET_KEY } from "../support/tokens.ts"

/** Port 1: nobody listens there. */
const NOWHERE = { DATABASE_URL: "postgres://todo:unspoken@127.0.0.1:1/todo", SECRET_KEY }

test("--help and --version answer, and need nothing configured", async () => {
  const [help, told] = await Promise.all([runCommand(["--help"]), runCommand(["--version"])])
  expect(help.code).toBe(0)
  for (const word of [
    "serve",
    "migrate",
    "openapi",
    "healthcheck",
    "rotate-key",
    "--allow-newer-schema",
  ])
    expect(help.out).toContain(word)
  expect(told).toMatchObject({ code: 0, err: "" })
  expect(told.out).toStartWith(`todo-api ${version} (commit `)
})

test("what is printed arrives whole and once through a pipe that is read slowly, or is left", async () => {
  const shell = async (pipeline: string) => {
    const command = Bun.spawn(["sh", "-c", `"$@" | ${pipeline}`, "sh", ...program, "openapi"], {
      cwd: tmpdir(),
      env: { PATH: process.env["PATH"] ?? "" },
      stdio: ["ignore", "pipe", "pipe"],
    })
    return Promise.all([command.stdout.text(), command.stderr.text()])
  }
  const { out } = await runCommand(["openapi"])
  expect(out.length).toBeGreaterThan(2 * 65_536)
  expect(JSON.parse(out)).toHaveProperty("openapi")
  expect(await Promise.all(["(sleep 1; cat)", "head -c 10"].map(shell))).toEqual([
    [out, ""],
    [out.slice(0, 10), ""],
  ])
})

for (const args of [
  ["serv"],
  ["serv", "--help"],
  ["help", "serv"],
  ["help", "--serv"],
  ["serve", "now"],
  ["migrate", "sideways"],
]) {
  test(`the wrong command line "${args.join(" ")}" ends with 64`, async () => {
    const { code, out, err } = await runCommand(args)
    expect(code).toBe(64)
    expect(out).toBe("")
    expect(err).toMatch(/^todo-api: .+\nTry todo-api( serve| migrate)? --help\n$/)
  })
}

test("each command has a --help of its own, with its options, and wrong use points to it", async () => {
  const { code, out, err } = await runCommand(["serve", "--help"])
  expect({ code, err }).toEqual({ code: 0, err: "" })
  for (const word of ["todo-api serve", "--no-migrate", "--allow-newer-schema", "--env-file FILE"])
    expect(out).toContain(word)
  expect((await runCommand(["migrate", "--help"])).out).not.toContain("--no-migrate")
  const wrong = await runCommand(["migrate", "--no-migrate"])
  expect(wrong.err).toBe("todo-api: Unknown option '--no-migrate'\nTry todo-api migrate --help\n")
})

test("help and version are commands, too", async () => {
  const same = [
    [["help"], ["--help"]],
    [
      ["help", "migrate"],
      ["migrate", "--help"],
    ],
    [
      ["help", "user", "list"],
      ["user", "list", "-h"],
    ],
    [
      ["help", "user"],
      ["user", "--help"],
    ],
    [["version"], ["-v"]],
  ]
  for (const [one = [], other = []] of same)
    expect(await runCommand(one)).toEqual(await runCommand(other))
  expect((await runCommand(["help", "user", "list"])).out).toContain("--limit N")
})

test("options may stand anywhere, with their values behind them or after a =", async () => {
  const { url, drop } = await createDatabase()
  const env = { DATABASE_URL: url }
  const list = await runCommand(["--limit", "5", "user", "--json", "list"], env)
  expect(list).toMatchObject({ code: 0, out: "[]\n" })
  await drop()
  for (const args of [
    ["--limit", "0", "--json", "user", "list"],
    ["user", "--limit", "0", "list", "--json"],
    ["user", "list", "--json", "--limit=0"],
    ["--json", "--limit=0", "user", "list"],
  ]) {
    const { code, out, err } = await runCommand(args, env)
    expect({ code, out }).toEqual({ code: 64, out: "" })
    expect(err).toContain("--limit takes a whole number from 1 to 1000")
  }
  const other = await runCommand(["--limit", "5", "migrate"], env)
  expect(other).toMatchObject({ code: 64, err: expect.stringContaining("'--limit'") })
})

test.if(Bun.which("bash") !== null)(
  "what is printed for a shell completes commands, their choices and options",
  async () => {
    const { out } = await runCommand(["completion", "bash"])
    const complete = (...words: string[]) => {
      const script = `${out}
COMP_WORDS=(${words.map((word) => `'${word}'`).join(" ")}); COMP_CWORD=${words.length - 1}
_todo_api; echo "\${COMPREPLY[*]}"`
      return Bun.spawnSync(["bash", "-c", script]).stdout.toString().trim()
    }
    expect(complete("todo-api", "mig")).toBe("migrate")
    expect(complete("todo-api", "")).toContain("serve migrate openapi")
    expect(complete("todo-api", "migrate", "s")).toBe("status")
    expect(complete("todo-api", "user", "dis")).toBe("disable")
    expect(complete("todo-api", "user", "list", "--l")).toBe("--limit")
    expect(complete("todo-api", "completion", "")).toStartWith("bash zsh fish")
    for (const shell of ["zsh", "fish"]) {
      const { code, out } = await runCommand(["completion", shell])
      expect(code).toBe(0)
      for (const word of ["migrate", "disable", "--limit"]) expect(out).toContain(word)
    }
    expect((await runCommand(["completion", "tcsh"])).code).toBe(64)
  },
)

test("a wrong configuration ends with 78, and names every problem but no value", async () => {
  const { code, err } = await runCommand(["serve"], {
    SECRET_KEY: "8472",
    DATABASE_URL: "mysql://8472@localhost/8472",
    PORT: "8472847",
    ALGORITHM: "none",
  })
  expect(code).toBe(78)
  for (const name of ["SECRET_KEY", "DATABASE_URL", "PORT", "ALGORITHM"])
    expect(err).toContain(name)
  expect(err).not.toContain("8472")
})

test.concurrent("a database that does not come ends with 69, after the wait, and its password is not told", async () => {
  const { code, out, err } = await runCommand(["serve"], { ...NOWHERE, DATABASE_WAIT_SECONDS: "2" })
  expect(code).toBe(69)
  expect(out).toContain("waiting for the database")
  expect(err).toContain("the database did not come")
  expect(out + err).not.toContain("unspoken")
})

test.concurrent("a signal ends a start that waits", async () => {
  const command = spawnCommand(["serve"], NOWHERE)
  for await (const bytes of command.stdout)
    if (new TextDecoder().decode(bytes).includes("waiting")) break
  command.kill("SIGTERM")
  expect(await command.exited).toBe(0)
})

test("a healthcheck tells whether a service is ready", async () => {
  const { url, drop } = await createDatabase()
  {
    // Nobody else is given it when the service has ended.
    const port = String(freePort())
    await using service = await startCommand({ DATABASE_URL: url, PORT: port })
    const proxy = "http://127.0.0.1:1"
    const proxies = { HTTP_PROXY: proxy, http_proxy: proxy, ALL_PROXY: proxy, all_proxy: proxy }
    for (const env of [{}, proxies])
      expect(await runCommand(["healthcheck"], { PORT: port, ...env })).toMatchObject({
        code: 0,
        out: "ready\n",
      })
    await service.stop()
    expect(await runCommand(["healthcheck"], { PORT: port })).toMatchObject({ code: 1 })
  }
  await drop()
})

test("a port that is taken ends the second service with 1, and the first goes on", async () => {
  const { url, drop } = await createDatabase()
  {
    await using service = await startCommand({ DATABASE_URL: url })
    const { port } = new URL(service.url)
    const second = await runCommand(["serve"], { DATABASE_URL: url, SECRET_KEY, PORT: port })
    expect(second.code).toBe(1)
    expect((await service.call("GET", "/health/ready")).status).toBe(200)
  }
  await drop()
})

for (const name of ["PORT", "METRICS_PORT"])
  test(`a ${name} that is in use is named before anything is migrated`, async () => {
    const { url, drop } = await createEmptyDatabase()
    using server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response() })
    const env = { DATABASE_URL: url, SECRET_KEY, [name]: String(server.port) }
    const { code, err } = await runCommand(["serve"], env)
    expect(code).toBe(1)
    expect(err).toContain(` ${name} ${server.port}`)
    expect(await query(url, "select 1 from pg_tables where schemaname = 'public'")).toEqual([])
    await drop()
  })

test("an older Bun is told which one is needed, and how to get it", async () => {
  const script = join(import.meta.dir, "../..", ".ci", "require-bun.js")
  const older = `process.versions = { bun: "1.4.4" }; require(${JSON.stringify(script)})`
  const told = Bun.spawnSync([process.execPath, "-e", older])
  expect(told.exitCode).toBe(1)
  expect(told.stderr.toString()).toContain("needs Bun 1.4.5 or newer")
  expect(told.stderr.toString()).toContain("npm install --global bun@1.4.5")
  expect(Bun.spawnSync([process.execPath, script]).exitCode).toBe(0)
})

test("a HOST that is nowhere ends with 1 and its name, not as a database that is away", async () => {
  const { url, drop } = await createDatabase()
  const { code, err } = await runCommand(["serve"], {
    DATABASE_URL: url,
    SECRET_KEY,
    HOST: "nohost.invalid",
  })
  await drop()
  expect(code).toBe(1)
  expect(err).toStartWith("todo-api: HOST nohost.invalid")
})

test.if(process.platform === "linux")(
  "a data folder that cannot be made is a wrong configuration, and named",
  async () => {
    const { code, err } = await runCommand(["serve"], {}, { cwd: "/proc" })
    expect(code).toBe(78)
    expect(err).toContain("DATA_DIR")
  },
)

test("--help, --version and healthcheck load next to nothing", () => {
  using directory = temporaryDirectory()
  const main = join(import.meta.dir, "../..", "src", "main.ts")
  const preload = join(directory.path, "loaded.ts")
  writeFileSync(
    preload,
    'process.on("exit", () => console.error(Object.keys(require.cache).join("\\n")))',
  )
  for (const command of ["--help", "--version", "healthcheck"]) {
    const { stderr } = Bun.spawnSync([process.execPath, "--preload", preload, main, command], {
      cwd: directory.path,
      env: { PORT: "1" },
    })
    const loaded = stderr
      .toString()
      .split("\n")
      .filter((line) => /\.[jt]s$/.test(line))
    expect(loaded).toContain(main.replace("main.ts", "commands/table.ts"))
    expect(loaded.length).toBeLessThan(20)
  }
})
