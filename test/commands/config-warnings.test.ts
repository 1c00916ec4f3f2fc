/** What a start warns about, once and by name, without any value. */
import { expect, test } from "bun:test"
import { chmodSync, mkdirSync } from "node:fs"
import { join } from "node:path"
import { readConfig } from "../../src/config/config.ts"
import { warningsOf } from "../../src/config/warnings.ts"
import { startCommand } from "../support/command.ts"
import { createDatabase } from "../support/postgres.ts"
import { startProcess } from "../support/process.ts"
import { temporaryDirectory } from "../support/temporary.ts"
import { SECRET_KEY } from "../support/tokens.ts"

type Settings = Record<string, string>

const namesOf = (settings: Settings) => {
  const env = { SECRET_KEY, ...settings }
  return warningsOf(readConfig(env), env).map((warning) => warning.split(" ")[0])
}

const outside = { JWT_ISSUER: "https://app.example", JWT_AUDIENCE: "https://app.example" }
const mails = { SMTP_FROM: "todo@example.org", PASSWORD_RESET_URL: "https://app.example/{token}" }
const certificate = "sslrootcert=system"

const configurations: [settings: Settings, ...names: string[]][] = [
  [{}],
  [{ SECRET_KEY: "ab".repeat(32) }, "SECRET_KEY"],
  [{ ...outside, JWKS_URL: "https://app.example/jwks" }],
  [{ ...outside, JWKS_URL: "http://127.0.0.1:3000/jwks" }],
  [{ ...outside, JWKS_URL: "http://[::1]:3000/jwks" }],
  [{ ...outside, JWKS_URL: "http://app.example/jwks" }, "JWKS_URL"],
  [{ ...outside, JWT_AUDIENCE: "", JWKS_URL: "https://app.example/jwks" }, "JWT_AUDIENCE"],
  [{ TRUSTED_PROXIES: "10.0.0.0/8, ::1" }],
  [{ TRUSTED_PROXIES: "10.0.0.0/8,0.0.0.0/0" }, "TRUSTED_PROXIES"],
  [{ TRUSTED_PROXIES: "::/0" }, "TRUSTED_PROXIES"],
  [{ DATABASE_URL: "postgres://todo@localhost/todo" }],
  [{ DATABASE_URL: "postgres://todo@/todo?host=/run/postgresql" }],
  [{ DATABASE_URL: `postgres://todo@db.example/todo?${certificate}` }],
  [{ DATABASE_URL: "postgres://todo@db.example/todo" }, "DATABASE_URL"],
  [{ DATABASE_URL: "postgres://todo@db.example/todo?sslmode=require" }, "DATABASE_URL"],
  [{ DATABASE_URL: "postgres://todo@db.example/todo", PGSSLMODE: "verify-full" }],
  [{ DATABASE_URL: "postgres://", PGHOST: "/run/postgresql" }],
  [{ PGHOST: "db.example" }, "PGHOST"],
  [{ METRICS_PORT: "tcp://10.96.0.5:9464" }, "METRICS_PORT"],
  [{ ...mails, SMTP_URL: "smtp://localhost" }],
  [{ ...mails, SMTP_URL: "smtps://mail.example" }],
  [{ ...mails, SMTP_URL: "smtp://mail.example?requireTLS=true" }],
  [{ ...mails, SMTP_URL: "smtp://todo:secret@mail.example" }, "SMTP_URL"],
  [{ SECRET_KEY: "a".repeat(32), TRUSTED_PROXIES: "::/0" }, "SECRET_KEY", "TRUSTED_PROXIES"],
]
for (const [settings, ...names] of configurations)
  test(`${JSON.stringify(settings)} warns about ${names.join(", ") || "nothing"}`, () => {
    expect(namesOf(settings)).toEqual(names)
  })

test("a DATA_DIR below a directory that everybody may write to is warned about, unless it is sticky", () => {
  using directory = temporaryDirectory()
  const parent = join(directory.path, "parent")
  mkdirSync(parent)
  const DATA_DIR = join(parent, "home", "data")
  for (const [mode, ...names] of [[0o755], [0o1777], [0o777, "DATA_DIR"]] as const) {
    chmodSync(parent, mode)
    expect(namesOf({ DATA_DIR })).toEqual(names)
    expect(namesOf({ DATA_DIR, DATABASE_URL: "postgres://todo@localhost/todo" })).toEqual([])
  }
})

test("the start logs each warning once, and no value", async () => {
  const secret = "abc".repeat(20)
  await using service = await startProcess({
    SECRET_KEY: secret,
    TRUSTED_PROXIES: "0.0.0.0/0",
  })
  await service.stop()
  expect(await service.log()).not.toContain(secret)
  const warnings = (await service.lines()).filter(({ level }) => level === "warn")
  expect(warnings.map(({ msg }) => String(msg).split(" ")[0])).toEqual([
    "SECRET_KEY",
    "TRUSTED_PROXIES",
  ])
})

test.if(process.platform === "linux")(
  "a small limit of open files is said at the start",
  async () => {
    const wrapper = ["sh", "-c", 'ulimit -n 1024 && exec "$@"', "sh"]
    const { url, drop } = await createDatabase()
    const service = await startCommand({ DATABASE_URL: url }, { wrapper })
    await service.stop()
    expect(await service.log()).toContain("Fewer than 4096 files may be open")
    await drop()
  },
)
