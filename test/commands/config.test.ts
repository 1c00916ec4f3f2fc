/** The configuration: what is refused, and how a DATABASE_URL is read. */
import { expect, test } from "bun:test"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { ConfigError, readConfig } from "../../src/config/config.ts"
import { connectionOptions, hostUrls, targetOf } from "../../src/config/database-url.ts"
import { temporaryDirectory } from "../support/temporary.ts"

const SECRET_KEY = "s".repeat(64)

const problemsOf = (env: Record<string, string>): string[] => {
  try {
    readConfig(env)
    return []
  } catch (error) {
    if (error instanceof ConfigError) return error.message.split("\n")
    throw error
  }
}

test("nothing has to be configured", () => {
  expect(readConfig({})).toMatchObject({
    HOST: "127.0.0.1",
    PORT: 8000,
    DATABASE_POOL_SIZE: 10,
    DATABASE_WAIT_SECONDS: 30,
    ALGORITHM: "HS256",
    CORS_ORIGINS: [],
    LOG_LEVEL: "info",
    SHUTDOWN_TIMEOUT_SECONDS: 10,
  })
})

test("an empty variable is as good as none", () => {
  expect(readConfig({ PORT: "", DATABASE_URL: "", CORS_ORIGINS: "" })).toEqual(readConfig({}))
})

const wrong: [name: string, ...values: string[]][] = [
  ["PORT", "65536", "-1", "80a", "1e3", " 80", "0x50"],
  ["METRICS_PORT", "65536"],
  ["MAX_TODOS_PER_USER", "1.5"],
  ["TRASH_DAYS", "91", "-1"],
  ["REQUESTS_PER_MINUTE", "1.5", "2e3"],
  ["REUSE_PORT", "yes"],
  ["DATABASE_POOL_SIZE", "1001", "1.5"],
  ["DATABASE_PREPARED_STATEMENTS", "yes"],
  ["DATABASE_URL", "nonsense", "mysql://x/y", "postgres://x/y?sslmode=maybe"],
  ["DATABASE_URL", "postgres://x/y?sslmode=verify-full&sslrootcert=/nowhere/ca.crt"],
  ["DATABASE_URL", "postgres://a,b/y?port=1,2,3", "postgres://a,/y", "postgres://a:1,b:0/y"],
  ["DATABASE_URL", "postgres://a,b/y?target_session_attrs=prefer-standby"],
  ["SECRET_KEY", "short"],
  ["SECRET_KEY_PREVIOUS", "short"],
  ["ALGORITHM", "none", "RS256", "hs256"],
  ["HOST", "not a host", "http://todo.test", "todo.test:80"],
  ["CORS_ORIGINS", "todo.test", "https://todo.test/", "https://todo.test/path", "https://*.test"],
  ["CORS_ORIGINS", "capacitor://", "tauri://localhost/", "https://a@todo.test", "null", "app:."],
  ["TRUSTED_PROXIES", "localhost", "10.0.0.0/33", "10.0.0.0/", "::1/129", "::1%eth-0"],
  ["JWKS_URL", "file:///etc/passwd"],
  ["LOG_LEVEL", "loud"],
  ["REGISTRATION", "Open", "invites"],
  ["SMTP_URL", "https://mail.example", "mail.example:25", "smtp://"],
  ["SMTP_FROM", "nobody", "a@b.example\r\nBcc: c@d.example", "Todo <a@b.example> and more"],
  ["PASSWORD_RESET_URL", "https://app.example/reset", "javascript:{token}"],
]
for (const [name, ...values] of wrong) {
  for (const value of values)
    test(`${name}=${value.slice(0, 60)} is refused without being repeated`, () => {
      const problems = problemsOf({ SECRET_KEY, [name]: value })
      expect(problems.length).toBeGreaterThan(0)
      expect(problems.some((problem) => problem.startsWith(`${name} `))).toBe(true)
      expect(problems.join()).not.toContain(value)
    })
}

test("a secret that instances must share is not made up", () => {
  expect(problemsOf({ DATABASE_URL: "postgres://localhost/todo" })).toEqual([
    expect.stringContaining("SECRET_KEY is required"),
  ])
})

test("a secret must be as long as the hash, in bytes", () => {
  for (const [ALGORITHM, bytes] of [
    ["HS256", 32],
    ["HS384", 48],
    ["HS512", 64],
  ] as const) {
    expect(problemsOf({ ALGORITHM, SECRET_KEY: "s".repeat(bytes - 1) })).toHaveLength(1)
    expect(problemsOf({ ALGORITHM, SECRET_KEY: "é".repeat(bytes / 2) })).toEqual([])
  }
})

test("settings that need each other are asked for together", () => {
  expect(problemsOf({ JWT_ISSUER: "https://issuer.example", JWT_AUDIENCE: "us" })).toHaveLength(1)
  expect(problemsOf({ JWT_AUDIENCE: "us" })).toHaveLength(1)
  expect(problemsOf({ SMTP_URL: "smtp://localhost" })).toEqual([
    "SMTP_FROM is required with SMTP_URL",
  ])
})

test("a wrong value hides no other problem", () => {
  expect(problemsOf({ DATABASE_URL: "nonsense" })).toEqual([
    expect.stringContaining("DATABASE_URL must"),
    expect.stringContaining("SECRET_KEY is required"),
  ])
  expect(problemsOf({ JWKS_URL: "nonsense" })).toEqual([
    expect.stringContaining("JWKS_URL must"),
    expect.stringContaining("JWT_ISSUER and JWKS_URL"),
  ])
  expect(problemsOf({ JWKS_URL: "nonsense", JWT_ISSUER: "us", JWT_AUDIENCE: "us" })).toHaveLength(1)
  expect(problemsOf({ ALGORITHM: "none", SECRET_KEY: "short" })).toEqual([
    expect.stringContaining("ALGORITHM must"),
    "SECRET_KEY must have at least 32 bytes for HS256",
  ])
})

test("a DATABASE_URL is read as libpq reads it", () => {
  const base = { port: 5432, username: "u", password: "p@ss", database: "todo" }
  const cases: [url: string, expected: object][] = [
    ["postgres://u:p%40ss@db.example/todo", { ...base, host: "db.example", ssl: "prefer" }],
    ["postgres://u:p%40ss@localhost:6432/todo", { ...base, port: 6432, ssl: false }],
    ["postgres://u:p%40ss@[::1]/todo", { ...base, host: "::1", ssl: false }],
    ["postgres://u:p%40ss@/todo?host=/run/pg", { ...base, host: "/run/pg", ssl: false }],
    ["postgres://u:p%40ss@%2Frun%2Fpg/todo", { ...base, host: "/run/pg", ssl: false }],
    [
      // As Neon gives it: the second parameter is the driver's business, not the server's.
      "postgresql://u:p%40ss@ep-x.neon.tech/todo?sslmode=require&channel_binding=require",
      { ...base, ssl: "require", connection: { application_name: "todo-api" } },
    ],
    [
      "postgres://u:p%40ss@db.example/todo?sslmode=verify-full",
      { ...base, ssl: { rejectUnauthorized: true, servername: "db.example" } },
    ],
    [
      "postgres://u:p%40ss@db.example/todo?options=-c%20search_path%3Dtodo&application_name=a",
      { connection: { application_name: "a", options: "-c search_path=todo" } },
    ],
  ]
  for (const [url, expected] of cases) expect(connectionOptions(url)).toMatchObject(expected)
})

test("a DATABASE_URL may name several hosts, in both of libpq's ways", () => {
  const cases: [url: string, hosts: [host: string, port: number, ssl: unknown][]][] = [
    [
      "postgres://u:p%2C%40@a:1,b:2/todo",
      [
        ["a", 1, "prefer"],
        ["b", 2, "prefer"],
      ],
    ],
    [
      "postgres://u@a,[::1]:6432/todo?target_session_attrs=primary",
      [
        ["a", 5432, "prefer"],
        ["::1", 6432, false],
      ],
    ],
    [
      "postgres://u@/todo?host=a,/run/pg&port=1,2&sslmode=require",
      [
        ["a", 1, "require"],
        ["/run/pg", 2, false],
      ],
    ],
    [
      "postgres://u@ignored/todo?host=a,b&port=6432&sslmode=verify-full",
      [
        ["a", 6432, { servername: "a" }],
        ["b", 6432, { servername: "b" }],
      ],
    ],
  ]
  for (const [url, expected] of cases) {
    const { DATABASE_URL = "" } = readConfig({ DATABASE_URL: url, SECRET_KEY })
    expect(hostUrls(DATABASE_URL)).toEqual(hostUrls(url))
    const options = hostUrls(url).map(connectionOptions)
    expect(options).toMatchObject(
      expected.map(([host, port, ssl]) => ({ host, port, ssl, username: "u", database: "todo" })),
    )
  }
  expect(hostUrls("postgres://u:p%2C%40@a:1,b:2/todo").map(connectionOptions)).toMatchObject([
    { password: "p,@" },
    { password: "p,@" },
  ])
})

/** What every command goes by, with these variables. */
const optionsOf = (DATABASE_URL: string, variables: Record<string, string> = {}) =>
  hostUrls(readConfig({ DATABASE_URL, SECRET_KEY, ...variables }).DATABASE_URL ?? "").map(
    connectionOptions,
  )

const readings: [url: string, variables: Record<string, string>, expected: object][] = [
  ["postgres://[::1]:6432,[fe80::2]/todo", {}, { host: "::1", port: 6432 }],
  ["postgres://%2Frun%2Fpostgresql:5433/todo", {}, { host: "/run/postgresql", port: 5433 }],
  ["postgres://a/b?user=u&password=p&dbname=d&host=h&port=1", {}, {}],
  ["postgres://", { PGHOST: "h", PGPORT: "1", PGUSER: "u", PGPASSWORD: "p", PGDATABASE: "d" }, {}],
  ["postgresql://h:1", { PGPORT: "2", PGUSER: "u", PGPASSWORD: "p", PGDATABASE: "d" }, {}],
  ["postgres://u:p@h:1/d", { PGHOST: "x", PGUSER: "x", PGPASSWORD: "x", PGDATABASE: "x" }, {}],
  ["postgres://u@h/", { PGSSLMODE: "verify-full" }, { database: "u", sslmode: "verify-full" }],
  ["postgres://h/d", { PGSSLMODE: "disable", PGAPPNAME: "a" }, { ssl: false }],
  [
    "postgres://h/d?search_path=app",
    { PGOPTIONS: "-c work_mem=8MB", PGAPPNAME: "a" },
    { connection: { search_path: "app", options: "-c work_mem=8MB", application_name: "a" } },
  ],
  ["postgres://h/d", { PGCONNECT_TIMEOUT: "10", PGCHANNELBINDING: "require" }, { host: "h" }],
]
for (const [url, variables, expected] of readings)
  test(`${url} with ${JSON.stringify(variables)} is read as libpq reads it`, () => {
    const whole = { host: "h", port: 1, username: "u", password: "p", database: "d" }
    const isWhole = Object.keys(expected).length === 0
    expect(optionsOf(url, variables)[0]).toMatchObject(isWhole ? whole : expected)
  })

test("a password may hold anything, and means the same in a variable", () => {
  const password = " a+b/c?d#e@f%g:h&i=j,k[l]é\u{1f511}'\"\\"
  const encoded = encodeURIComponent(password)
  for (const [url, variables] of [
    [`postgres://u:${encoded}@h/d`, {}],
    [`postgres://u@h/d?password=${encoded}`, {}],
    ["postgres://u@h/d", { PGPASSWORD: password }],
  ] as const)
    expect(optionsOf(url, variables)).toMatchObject([{ password, host: "h", database: "d" }])
})

test("target_session_attrs may come from its variable", () => {
  const { DATABASE_URL = "" } = readConfig({
    DATABASE_URL: "postgres://a,b/d",
    SECRET_KEY,
    PGTARGETSESSIONATTRS: "primary",
  })
  expect(targetOf(DATABASE_URL)).toBe("primary")
})

const refusedUrls: [url: string, said: string, variables?: Record<string, string>][] = [
  ["postgres:///d", "must name a host"],
  ["postgres://u:a/b@h/d", "%2F (/)"],
  ["postgres://u:a#b@h/d", "%23 (#)"],
  ["postgres://u:a@b@h/d", "%40 (@)"],
  ["postgres://u:a%b@h/d", "%25 (%)"],
  ["postgres://u:a?b@h/d", "raw ? (%3F)"],
  ["postgres://u@/d?host=/a+b", "a raw +"],
  ["postgres://u@::1/d", "IPv6 address in brackets"],
  ["postgres://u@h/d?ssl=true", "sslmode=require in place of ssl"],
  ["postgres://u@h/d?pgbouncer=true", "pgbouncer"],
  ["postgres://u@h/d?sslnegotiation=direct", "sslnegotiation"],
  ["postgres://u@h/d?ssl_min_protocol_version=TLSv1.3", "ssl_min_protocol_version"],
  ["postgres://u@h/d?hostaddr=127.0.0.1", "hostaddr"],
  ["postgres://u@h/d", "PGSERVICE", { PGSERVICE: "todo" }],
  ["postgres://u@h/d", "PGPASSFILE", { PGPASSFILE: "/root/.pgpass" }],
  ["postgres://u@h/d", "PGSSLNEGOTIATION", { PGSSLNEGOTIATION: "direct" }],
  ["postgres://u@h/d", "PGSSLMODE", { PGSSLMODE: "always" }],
  ["postgres://u@h/d?sslcert=/a.crt", "both sslcert and sslkey"],
  ["postgres://u@h/d?sslcert=/a&sslkey=/b", "sslmode=require or stricter"],
  ["postgres://u@h/d?sslcert=/nowhere&sslkey=/b&sslmode=require", "sslcert that cannot be read"],
  ["postgres://u@h/d?sslrootcert=system&sslmode=require", "sslmode=verify-full"],
  ["postgres://u@h/d%00", "U+0000"],
]
for (const [url, said, variables = {}] of refusedUrls)
  test(`${url} with ${JSON.stringify(variables)} is refused, and what is wrong is said`, () => {
    const [problem = "", ...others] = problemsOf({ DATABASE_URL: url, SECRET_KEY, ...variables })
    expect(problem).toStartWith("DATABASE_URL ")
    expect(problem).toContain(said)
    expect(others).toEqual([])
  })

test("secrets may lie in files; a missing, an empty and a second one are named", () => {
  using directory = temporaryDirectory()
  const path = (name: string) => join(directory.path, name)
  const secret = "é".repeat(40)
  writeFileSync(path("key"), `${secret}\n`)
  writeFileSync(path("url"), "postgres://u:p@h/d\r\n")
  writeFileSync(path("empty"), "\n")
  const config = readConfig({ SECRET_KEY_FILE: path("key"), DATABASE_URL_FILE: path("url") })
  expect(config.SECRET_KEY).toBe(secret)
  expect(connectionOptions(config.DATABASE_URL ?? "")).toMatchObject({ host: "h", password: "p" })
  const wrong = {
    SECRET_KEY: "s".repeat(40),
    SECRET_KEY_FILE: path("key"),
    SECRET_KEY_PREVIOUS_FILE: path("none"),
    SMTP_URL_FILE: path("empty"),
  }
  expect(problemsOf(wrong)).toEqual([
    "SECRET_KEY_FILE and SECRET_KEY are both set: unset one of them",
    "SECRET_KEY_PREVIOUS_FILE cannot be read",
    "SMTP_URL_FILE is empty",
  ])
})

test("METRICS_PORT is another one than PORT, and what Kubernetes sets is ignored", () => {
  expect(problemsOf({ PORT: "9464", METRICS_PORT: "9464" })).toEqual([
    "METRICS_PORT and PORT must differ",
  ])
  expect(readConfig({ METRICS_PORT: "tcp://10.96.0.5:9464" }).METRICS_PORT).toBeUndefined()
})

test("each variable is documented in .deploy/README.md and in .env.example", async () => {
  const [readme, example] = await Promise.all(
    ["../../.deploy/README.md", "../../.env.example"].map((file) =>
      Bun.file(join(import.meta.dir, file)).text(),
    ),
  )
  for (const name of Object.keys(readConfig({}))) {
    expect(readme).toContain(`\`${name}\``)
    expect(example).toMatch(new RegExp(`^# ${name}=`, "m"))
  }
})

test("an origin with a slash at the end is told what is wrong with it", () => {
  expect(() => readConfig({ CORS_ORIGINS: "http://localhost:5173/" })).toThrow(
    "without a slash at the end",
  )
})

test("an origin may have any scheme, and is read as browsers send it", () => {
  const origins = (value: string) => readConfig({ CORS_ORIGINS: value }).CORS_ORIGINS
  const ofApps = ["capacitor://localhost", "tauri://localhost", "ionic://localhost", "app://."]
  const ofExtension = "chrome-extension://aapbdbdomjkkjkaonfhkkikfgjllcleb"
  expect(origins([...ofApps, ofExtension].join(", "))).toEqual([...ofApps, ofExtension])
  expect(origins("HTTPS://App.Example, https://app.example:443, http://app.example:80")).toEqual([
    "https://app.example",
    "https://app.example",
    "http://app.example",
  ])
  expect(origins("https://app.example:8443,*")).toEqual(["https://app.example:8443", "*"])
})
