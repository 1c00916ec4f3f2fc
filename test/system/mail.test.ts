/** Mails: to a real SMTP server, whether it is there or not. */

import { expect, test } from "bun:test"
import { type App, startApp } from "../support/app.ts"
import { patiently } from "../support/client.ts"
import { userCommand } from "../support/commands.ts"
import { startMailServer } from "../support/mail-server.ts"
import { freePort } from "../support/ports.ts"
import { openSql } from "../support/sql.ts"

const settings = (port: number, scheme = "smtp", query = "") => ({
  SMTP_URL: `${scheme}://127.0.0.1:${port}${query}`,
  SMTP_FROM: "Todo <todo@example.org>",
  PASSWORD_RESET_URL: "https://app.example/reset#token={token}",
})

const request = (app: App, email: string, from = "198.18.0.1") =>
  patiently(() =>
    app.call("POST", "/api/v1/auth/password-reset/request", {
      headers: { "x-forwarded-for": from },
      body: { email },
    }),
  )
const reset = (app: App, token: string) =>
  app.call("POST", "/api/v1/auth/password-reset", {
    body: { token, new_password: "another horse" },
  })

const tokenIn = (text = "") =>
  /https:\/\/app\.example\/reset#token=([\w-]{43})\s/.exec(text)?.[1] ?? ""

const waiting = async (app: App) => {
  const sql = openSql(app.databaseUrl)
  const mails = await sql<{ kind: string; recipient: string; attempts: number }[]>`
    select kind, recipient, attempts
    from mails`
  await sql.end()
  return mails
}

const untilSent = async (app: App) => {
  while ((await waiting(app)).length > 0) await Bun.sleep(50)
}

/** The only mail that waits, once it was tried so often or more often: it may be tried again meanwhile. */
const untilTried = async (app: App, attempts: number) => {
  for (;;) {
    const [mail] = await waiting(app)
    if (mail && mail.attempts >= attempts) return mail
    await Bun.sleep(20)
  }
}

test.concurrent("whoever forgot the password gets a link that sets a new one", async () => {
  await using server = await startMailServer()
  await using app = await startApp(settings(server.port))
  const ada = await app.account("Ada@example.org")
  for (const email of ["", "nobody", `${"x".repeat(300)}@example.org`, " ada@EXAMPLE.org "])
    expect(await request(app, email)).toMatchObject({ status: 202, text: "" })
  const [mail] = await server.until(1)
  expect(mail).toMatchObject({ from: "todo@example.org", to: ["Ada@example.org"] })
  expect(mail?.subject).toBe("Reset your password")
  expect(mail?.text).not.toContain("{token}")
  await untilSent(app)
  expect((await reset(app, tokenIn(mail?.text))).status).toBe(204)
  expect((await app.logIn({ ...ada, password: "another horse" })).status).toBe(200)
})

test.concurrent("without a page for it the mail holds the token alone", async () => {
  await using server = await startMailServer()
  const { PASSWORD_RESET_URL: _, ...smtp } = settings(server.port)
  await using app = await startApp(smtp)
  await app.account("bob@example.org")
  await request(app, "bob@example.org")
  const [mail] = await server.until(1)
  const token = /^[\w-]{43}$/m.exec(mail?.text ?? "")?.[0] ?? ""
  expect((await reset(app, token)).status).toBe(204)
})

test.concurrent("an unknown and a disabled account get the same answer, and no mail", async () => {
  await using server = await startMailServer()
  await using app = await startApp(settings(server.port))
  const ada = await app.account()
  const bob = await app.account()
  await userCommand(app.databaseUrl, "disable", bob.email)
  const answers = [
    await request(app, "nobody@example.org"),
    await request(app, bob.email),
    await request(app, ada.email),
  ]
  expect(answers.map(({ status, text }) => [status, text])).toEqual(Array(3).fill([202, ""]))
  await server.until(1)
  await untilSent(app)
  expect(server.mails.map(({ to }) => to)).toEqual([[ada.email]])
})

test.concurrent("a newer mail ends the token of the older one", async () => {
  await using server = await startMailServer()
  await using app = await startApp(settings(server.port))
  const ada = await app.account()
  await request(app, ada.email)
  await server.until(1)
  await request(app, ada.email)
  const [older, newer] = (await server.until(2)).map(({ text }) => tokenIn(text))
  expect((await reset(app, older ?? "")).status).toBe(401)
  expect((await reset(app, newer ?? "")).status).toBe(204)
})

test.concurrent("requests are limited by account and by address, whether there is an account or not", async () => {
  await using server = await startMailServer()
  await using app = await startApp({ ...settings(server.port), TRUSTED_PROXIES: "127.0.0.0/8" })
  const { email } = await app.account()
  for (const asked of [email, "nobody@example.org"]) {
    const began = performance.now()
    for (let i = 0; i < 5; i++)
      expect((await request(app, asked, `198.18.0.${i}`)).status).toBe(202)
    const answer = await request(app, asked.toUpperCase(), "198.18.0.9")
    expect(answer).toMatchObject({ status: 429, body: { error_code: "TOO_MANY_REQUESTS" } })
    // An hour after the first of them.
    const sinceFirst = (performance.now() - began) / 1_000
    expect(Number(answer.headers.get("retry-after")) + sinceFirst).toBeGreaterThanOrEqual(3_600)
  }
  const sent = Array.from({ length: 60 }, (_, i) =>
    request(app, `nobody-${i}@example.org`, "198.18.1.1"),
  )
  const statuses = (await Promise.all(sent)).map(({ status }) => status)
  expect(statuses.filter((status) => status === 202)).toHaveLength(50)
  expect(statuses.filter((status) => status === 429)).toHaveLength(10)
})

test.concurrent("a mail that is refused is tried again, and holds no token while it waits", async () => {
  await using server = await startMailServer()
  server.refuse(1_000)
  await using app = await startApp(settings(server.port))
  const ada = await app.account()
  await request(app, ada.email)
  const { attempts, ...mail } = await untilTried(app, 1)
  expect(mail).toEqual({ kind: "password_reset", recipient: ada.email })
  server.refuse(0)
  const [sent] = await server.until(1)
  expect((await reset(app, tokenIn(sent?.text))).status).toBe(204)
  await untilSent(app)
})

test.concurrent("while the mail server is down no request waits, and when it is back the mail comes, from any instance", async () => {
  const port = freePort()
  const mail = settings(port)
  await using app = await startApp(mail)
  await using other = await startApp({ ...mail, DATABASE_URL: app.databaseUrl })
  const accounts = [await app.account(), await app.account(), await app.account()]
  for (const { email } of accounts) expect((await request(other, email)).status).toBe(202)
  while ((await waiting(app)).some(({ attempts }) => attempts === 0)) await Bun.sleep(20)
  await using up = await startMailServer({}, port)
  await up.until(3)
  await untilSent(app)
  // Each once, although two instances send.
  expect(up.mails.flatMap(({ to }) => to).sort()).toEqual(accounts.map(({ email }) => email).sort())
})

test.concurrent("a mail is given up after a day", async () => {
  await using server = await startMailServer()
  server.refuse(1_000)
  await using app = await startApp(settings(server.port))
  const ada = await app.account()
  await request(app, ada.email)
  await untilTried(app, 1)
  const sql = openSql(app.databaseUrl)
  const [{ hours }] = await sql<[{ hours: number }]>`
    select round(extract(epoch from expires_at - now()) / 3600)::integer as hours
    from mails`
  expect(hours).toBe(24)
  await sql`
    update mails
    set attempts = 20,
      due_at = now(),
      expires_at = now() + interval '30 minutes'`
  await sql.end()
  await untilSent(app)
  expect(server.mails).toEqual([])
})

test.concurrent("a mailbox that the mail server refuses for good is not tried again", async () => {
  await using server = await startMailServer()
  server.refuse(1, 550)
  await using app = await startApp(settings(server.port))
  const ada = await app.account()
  await request(app, ada.email)
  await untilSent(app)
  expect(server.mails).toEqual([])
})

test.concurrent("no mailbox gets more than five mails in an hour, of whatever kind, from whatever account", async () => {
  await using server = await startMailServer()
  await using app = await startApp({ ...settings(server.port), TRUSTED_PROXIES: "127.0.0.0/8" })
  const email = "grace@bücher.example"
  const ada = await app.account(email)
  const bob = await app.account("grace@xn--bcher-kva.example")
  const change = ({ put, password }: typeof ada, to: string) =>
    put("/users/me/email", { email: to, password })
  const sql = openSql(app.databaseUrl)
  const [{ began }] = await sql<[{ began: string }]>`select now()::text as began`
  for (let i = 0; i < 2; i++) expect((await request(app, email)).status).toBe(202)
  expect((await request(app, bob.email)).status).toBe(202)
  for (const to of ["elsewhere@example.org", email, "elsewhere@example.org"])
    expect((await change(ada, to)).status).toBe(204)
  expect((await request(app, bob.email)).status).toBe(429)
  expect((await change(bob, "anywhere@example.org")).status).toBe(429)
  // What waited while the mail server was down comes at once: it is counted when it is sent, too.
  await untilSent(app)
  await sql`
    insert into mails (id, kind, recipient, expires_at)
    select gen_random_uuid(), 'email_changed', 'Grace@BÜCHER.example', now() + interval '1 day'
    from generate_series(1, 20)`
  while ((await sql`select from mails where due_at < now() + interval '3 minutes'`).length > 0)
    await Bun.sleep(50)
  // An hour after the last one that was sent, in whole seconds; who waited for the count adds what it waited.
  const [next] = await sql`
    select min(due_at) >= ${began}::timestamptz + interval '1 hour' as is_late,
      max(due_at) <= now() + interval '1 hour 1 second' + (now() - ${began}::timestamptz) as is_soon
    from mails`
  await sql.end()
  expect(next).toEqual({ is_late: true, is_soon: true })
  expect(server.mails.filter(({ to }) => /^grace@/i.test(to[0] ?? ""))).toHaveLength(5)
})

test.concurrent("a stop waits for the mail that is being sent, so that it is sent once", async () => {
  const { promise: isSending, resolve: begin } = Promise.withResolvers<void>()
  await using server = await startMailServer({
    async onData(stream, _session, done) {
      for await (const _ of stream);
      begin()
      await Bun.sleep(1_500)
      done()
    },
  })
  await using app = await startApp(settings(server.port))
  const ada = await app.account()
  await request(app, ada.email)
  await isSending
  await app.stop()
  expect(await waiting(app)).toHaveLength(0)
})

for (const [name, scheme, options] of [
  ["TLS from the start", "smtps", { secure: true }],
  ["STARTTLS", "smtp", { hideSTARTTLS: false }],
] as const) {
  test.concurrent(`by ${name} a mail goes to a server whose certificate is trusted, and to no other`, async () => {
    await using server = await startMailServer(options)
    const trusting = settings(server.port, scheme, "?tls.rejectUnauthorized=false")
    await using app = await startApp(trusting)
    const ada = await app.account()
    await request(app, ada.email)
    expect(await server.until(1)).toMatchObject([{ to: [ada.email], isSecure: true }])
    await untilSent(app)
    await app.stop()

    await using strict = await startApp({
      ...settings(server.port, scheme),
      DATABASE_URL: app.databaseUrl,
    })
    await request(strict, ada.email)
    await untilTried(app, 2)
    expect(server.mails).toHaveLength(1)
  })
}

test.concurrent("a server that wants a password gets the one of SMTP_URL", async () => {
  await using server = await startMailServer({
    authOptional: false,
    allowInsecureAuth: true,
    onAuth: ({ username, password }, _session, done) =>
      username === "todo" && password === "p@ss"
        ? done(null, { user: username })
        : done(new Error("Wrong")),
  })
  const mail = settings(server.port)
  const withPassword = mail.SMTP_URL.replace("//", "//todo:p%40ss@")
  await using app = await startApp({ ...mail, SMTP_URL: withPassword })
  const ada = await app.account()
  await request(app, ada.email)
  await server.until(1)
})
