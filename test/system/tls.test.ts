/** TLS to a Postgres with a certificate of its own, and the words of libpq for it. */
import { afterAll, beforeAll, expect, test } from "bun:test"
import { chmodSync, chownSync, mkdirSync } from "node:fs"
import { networkInterfaces } from "node:os"
import { join } from "node:path"
import { serverUser } from "../../src/database/embedded/server-user.ts"
import { runCommand, startCommand } from "../support/command.ts"
import { freePort } from "../support/ports.ts"
import { openSql } from "../support/sql.ts"
import { temporaryDirectory } from "../support/temporary.ts"

const programs = process.env["POSTGRES_15"] ?? "/usr/lib/postgresql/15/bin"
const port = freePort()
const password = "s3cret of the database"
const directory = temporaryDirectory()
const path = (name: string) => join(directory.path, name)
const account = serverUser()

const run = (...command: string[]) => {
  const { success, stderr } = Bun.spawnSync(command, { ...account, cwd: path("."), stderr: "pipe" })
  if (!success) throw new Error(`${command[0]}: ${stderr}`)
}

/** A certificate that the authority `ca` has signed for `subject`. */
const certify = (ca: string, name: string, subject: string) => {
  const key = ["-newkey", "rsa:2048", "-nodes", "-keyout", `${name}.key`, "-out", `${name}.crt`]
  const signer = name === ca ? [] : ["-CA", `${ca}.crt`, "-CAkey", `${ca}.key`]
  const names = name === ca ? [] : ["-addext", `subjectAltName=${subject}`]
  run("openssl", "req", "-x509", ...key, ...signer, ...names, "-subj", `/CN=${name}`, "-days", "2")
}

const hasIPv6 = Object.values(networkInterfaces()).some((addresses) =>
  addresses?.some(({ address }) => address === "::1"),
)

let server: Bun.Subprocess

beforeAll(async () => {
  chmodSync(directory.path, 0o755)
  mkdirSync(path("pg"))
  if (account.uid !== undefined)
    for (const owned of [directory.path, path("pg")])
      chownSync(owned, account.uid, account.gid ?? account.uid)
  certify("authority", "authority", "")
  certify("stranger", "stranger", "")
  certify("authority", "server", "DNS:localhost")
  await Bun.write(path("password"), password)
  chmodSync(path("password"), 0o644)
  const cluster = ["--pgdata=pg/data", "--username=todo", "--encoding=UTF8", "--locale=C.UTF-8"]
  run(join(programs, "initdb"), ...cluster, "--auth=scram-sha-256", "--pwfile=password")
  // Over a network nobody gets in without TLS, and `certified` by a certificate alone.
  await Bun.write(
    path("pg/data/pg_hba.conf"),
    `hostssl all certified 127.0.0.1/32 cert
     hostssl all all 127.0.0.1/32 scram-sha-256
     hostssl all all ::1/128 scram-sha-256
     local all all scram-sha-256\n`,
  )
  certify("authority", "certified", "DNS:certified")
  const settings = {
    port: String(port),
    listen_addresses: hasIPv6 ? "127.0.0.1,::1" : "127.0.0.1",
    unix_socket_directories: path("."),
    ssl: "on",
    ssl_ca_file: path("authority.crt"),
    ssl_cert_file: path("server.crt"),
    ssl_key_file: path("server.key"),
  }
  server = Bun.spawn(
    [
      join(programs, "postgres"),
      ...["-D", path("pg/data")],
      ...Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]),
    ],
    { ...account, cwd: directory.path, stdio: ["ignore", "ignore", "ignore"] },
  )
  const probe = [join(programs, "pg_isready"), "--quiet", "--host=127.0.0.1", `--port=${port}`]
  while (!Bun.spawnSync(probe).success) await Bun.sleep(50)
  await using sql = openSql(url("127.0.0.1", "sslmode=require"))
  await sql`create role certified superuser login`
})

afterAll(async () => {
  server.kill("SIGQUIT")
  await server.exited
  directory[Symbol.dispose]()
})

const url = (host: string, parameters: string) =>
  `postgres://todo:${encodeURIComponent(password)}@${host}:${port}/postgres?${parameters}`

/** So that each migrates: dbmate has a driver of its own. */
const emptyDatabase = async (schema: string) => {
  await using sql = openSql(url("127.0.0.1", "sslmode=require"))
  await sql`drop schema if exists app cascade`
  await sql`drop schema public cascade`
  await sql`create schema public`
  if (schema !== "public") await sql`create schema ${sql(schema)}`
}

type Settings = Record<string, string>

/** Each has a driver, or options, of its own. */
const expectAll = async (env: Settings, schema = "public") => {
  await emptyDatabase(schema)
  expect(await runCommand(["migrate"], env)).toMatchObject({ code: 0, err: "" })
  const service = await startCommand(env)
  const ada = await service.account(`${crypto.randomUUID()}@example.org`)
  expect((await ada.post("/todos", { title: "milk" })).status).toBe(201)
  const backup = path(`${crypto.randomUUID()}.backup`)
  expect((await runCommand(["backup", backup], env)).code).toBe(0)
  expect(await service.stop()).toBe(0)
  await emptyDatabase(schema)
  expect((await runCommand(["restore", backup], env)).code).toBe(0)
  expect((await runCommand(["user", "show", ada.email], env)).out).toContain(ada.email)
  await using sql = openSql(url("127.0.0.1", "sslmode=require"))
  const [table] = await sql`select schemaname from pg_tables where tablename = 'todos'`
  expect(table?.["schemaname"]).toBe(schema)
}

const authority = () => `sslrootcert=${path("authority.crt")}`

const accepted: [name: string, host: string, parameters: () => string, authorities?: string][] = [
  ["require", "127.0.0.1", () => "sslmode=require"],
  ["prefer", "127.0.0.1", () => "sslmode=prefer"],
  ["Neon's parameters", "127.0.0.1", () => "sslmode=require&channel_binding=require"],
  ["verify-full by the name", "localhost", () => `sslmode=verify-full&${authority()}`],
  ["verify-ca by another name", "127.0.0.1", () => `sslmode=verify-ca&${authority()}`],
  ["require, and an authority", "127.0.0.1", () => `sslmode=require&${authority()}`],
  ["verify-full by Bun's authorities", "localhost", () => "sslmode=verify-full", "authority.crt"],
  ["a host that is away, and one with TLS", "localhost:1,localhost", () => "sslmode=prefer"],
  [
    "verify-full of several hosts, each by its own name",
    `127.0.0.1:${port},localhost`,
    () => `sslmode=verify-full&${authority()}`,
  ],
  ["sslrootcert=system", "localhost", () => "sslrootcert=system", "authority.crt"],
]
for (const [name, host, parameters, authorities] of accepted)
  test(`${name}: all commands get in`, () =>
    expectAll({
      DATABASE_URL: url(host, parameters()),
      NODE_EXTRA_CA_CERTS: authorities === undefined ? "" : path(authorities),
    }))

const socket = () => encodeURIComponent(path("."))
const named = `todo:${encodeURIComponent(password)}@`
const settings: [name: string, DATABASE_URL: () => string, variables?: () => Settings][] = [
  ["a socket's directory as host", () => `postgres://${named}${socket()}:${port}/postgres`],
  [
    "a socket's directory as parameter",
    () => `postgres://${named}/postgres?host=${socket()}&port=${port}`,
  ],
  [
    "all by parameters",
    () =>
      `postgres://?host=127.0.0.1&port=${port}&user=todo&dbname=postgres&sslmode=require&password=${encodeURIComponent(password)}`,
  ],
  [
    "all by variables",
    () => "postgres://",
    () => ({
      PGHOST: "127.0.0.1",
      PGPORT: String(port),
      PGUSER: "todo",
      PGPASSWORD: password,
      PGDATABASE: "postgres",
      PGSSLMODE: "verify-ca",
      PGSSLROOTCERT: path("authority.crt"),
    }),
  ],
  [
    "a client's certificate",
    () => `postgres://certified@127.0.0.1:${port}/postgres`,
    () => ({
      PGSSLMODE: "require",
      PGSSLCERT: path("certified.crt"),
      PGSSLKEY: path("certified.key"),
    }),
  ],
  ["another schema", () => url("127.0.0.1", "sslmode=require&search_path=app")],
  [
    "another schema by options",
    () => url("127.0.0.1", "sslmode=require"),
    () => ({ PGOPTIONS: "-c search_path=app" }),
  ],
]
for (const [name, DATABASE_URL, variables = () => ({})] of settings)
  test(`${name}: all commands get in`, async () => {
    await expectAll(
      { DATABASE_URL: DATABASE_URL(), ...variables() },
      name.includes("schema") ? "app" : "public",
    )
  })

test.if(hasIPv6)("IPv6 addresses, in lists too: all commands get in", async () => {
  await expectAll({ DATABASE_URL: url("[::1]", "sslmode=require") })
  await expectAll({ DATABASE_URL: url("[::1]:1,[::1]", "sslmode=require") })
})

test("TLS that is required and not offered is said at once", async () => {
  using plain = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: { data: (client) => void client.write("N") },
  })
  for (const command of ["serve", "migrate", "backup"]) {
    const { code, err } = await runCommand([command], {
      DATABASE_URL: `postgres://todo@127.0.0.1:${plain.port}/todo?sslmode=require`,
      // Longer than a test may take.
      DATABASE_WAIT_SECONDS: "3600",
      SECRET_KEY: "s".repeat(32),
    })
    expect({ command, code }).toEqual({ command, code: 78 })
    expect(err).toContain("offers no TLS")
  }
})

const refused: [name: string, host: string, parameters: () => string][] = [
  ["verify-full by another name", "127.0.0.1", () => `sslmode=verify-full&${authority()}`],
  [
    "verify-full against another authority",
    "localhost",
    () => `sslmode=verify-full&sslrootcert=${path("stranger.crt")}`,
  ],
  ["verify-full against the system's authorities", "localhost", () => "sslmode=verify-full"],
  ["no TLS", "127.0.0.1", () => "sslmode=disable"],
]
for (const [name, host, parameters] of refused)
  test(`${name}: the service does not start, and does not tell the password`, async () => {
    const { code, out, err } = await runCommand(["serve"], {
      DATABASE_URL: url(host, parameters()),
      DATABASE_WAIT_SECONDS: "1",
      SECRET_KEY: "s".repeat(32),
    })
    expect([1, 69]).toContain(code)
    expect(out).not.toContain("listens")
    expect(out + err).not.toContain("s3cret")
  })
