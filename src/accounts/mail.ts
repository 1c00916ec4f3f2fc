/**
 * The outbox: mails wait in a table, and are sent by SMTP. A mail is
 *   due        when its `due_at` has come;
 *   leased     to the instance that sends it, for LEASE_SECONDS: if that one dies, the mail is due again when
 *              the lease ends. It may then be sent twice, but is never lost;
 *   postponed  while the mail server refuses it, for longer each time, or its mailbox got enough mails;
 *   deleted    when it was sent, is no longer needed, was refused for good, or has expired.
 */
import type { Logger } from "pino"
import { repeat } from "../concurrency/repeat.ts"
import type { Sql, Statements } from "../database/sql.ts"
import type { OneTimeToken } from "./random-token.ts"
import { countMail, uncountMail } from "./rate-limits.ts"

const POLL_MS = 1_000
/** Mails that are sent at once, each on its own connection to the mail server. */
const AT_ONCE = 5
const CONNECT_MS = 10_000
/** How long a mail server may be silent. */
const SILENCE_MS = 20_000
const SENDING_MS = 60_000
const LEASE_SECONDS = (2 * SENDING_MS) / 1_000
const FIRST_PAUSE_SECONDS = 2
const LONGEST_PAUSE_SECONDS = 3_600

type Message = { to: string; subject: string; text: string }
type Send = (message: Message) => Promise<void>

type Deps = {
  sql: Sql
  log: Logger
  send: Send
  /** Undefined if nobody has the email, or its user may not set a password. */
  createPasswordReset: (email: string) => Promise<(OneTimeToken & { email: string }) | undefined>
  passwordResetUrl: string | undefined
}

/** The library is loaded with the first mail. By smtps:// TLS is used from the start, by smtp:// if the server offers it. */
export const createSmtp = (url: string, from: string): Send => {
  const createTransport = async () =>
    (await import("nodemailer")).createTransport({
      url,
      connectionTimeout: CONNECT_MS,
      greetingTimeout: CONNECT_MS,
      socketTimeout: SILENCE_MS,
      // Only attachments would need these, and there are none.
      disableFileAccess: true,
      disableUrlAccess: true,
    })
  let transport: ReturnType<typeof createTransport> | undefined
  return async ({ to, ...content }) => {
    transport ??= createTransport()
    const { promise: late, reject } = Promise.withResolvers<never>()
    const sent = (await transport).sendMail({
      from,
      // An object: a text would be parsed, and may name another mailbox.
      to: { name: "", address: to },
      ...content,
      // RFC 3834: asks not to be answered by holiday notices.
      headers: { "Auto-Submitted": "auto-generated" },
    })
    const timer = setTimeout(() => reject(new Error("The mail server took too long")), SENDING_MS)
    await Promise.race([sent, late]).finally(() => clearTimeout(timer))
  }
}

/** Undefined if nobody is to get the mail. */
const compose = async (
  { createPasswordReset, passwordResetUrl }: Deps,
  { kind, recipient, created_at }: Mail,
): Promise<Message | undefined> => {
  if (kind === "email_changed") return emailChangedMessage(recipient, created_at)
  const reset = await createPasswordReset(recipient)
  // To the address as it was registered: a request may spell it otherwise.
  return reset && resetMessage(reset.email, passwordResetUrl, reset.token)
}

type SmtpError = { code?: string; command?: string; responseCode?: number }

/** Logs the failure. Returns the seconds after which the mail is tried again; undefined if it is abandoned. */
const pauseAfter = (log: Logger, mail: Mail, { code, command, responseCode }: SmtpError) => {
  const { id, kind, attempts } = mail
  const pause = Math.min(FIRST_PAUSE_SECONDS * 2 ** (attempts - 1), LONGEST_PAUSE_SECONDS)
  // Of the response no more than its code: the text would quote addresses.
  const about = { mail: id, kind, attempts, code, response: responseCode }
  // RFC 5321, section 4.2.1: 5xx stays as it is. Of the recipient, it is about this mail alone.
  const isRefused = command === "RCPT TO" && Number(responseCode) >= 500
  if (isRefused || Date.now() + pause * 1_000 > Date.parse(mail.expires_at)) {
    log.error(about, "a mail was not sent, and is abandoned")
    return undefined
  }
  log.warn({ ...about, retry_in_seconds: pause }, "a mail was not sent, and will be tried again")
  return pause
}

/** Resolves to the seconds after which the mail is tried again; undefined if there is no more to be done. */
const deliver = async (deps: Deps, mail: Mail): Promise<number | undefined> => {
  const { sql, log, send } = deps
  const blockedSeconds = await countMail(sql, mail.recipient)
  if (blockedSeconds !== undefined) return blockedSeconds
  let isSent = false
  try {
    const message = await compose(deps, mail)
    if (!message) return undefined
    await send(message)
    isSent = true
    return undefined
  } catch (error) {
    return pauseAfter(log, mail, error as SmtpError)
  } finally {
    if (!isSent) await uncountMail(sql, mail.recipient)
  }
}

/** Returns the function that stops it. */
export const startOutbox = (deps: Deps) => {
  const { sql, log } = deps
  const handle = async (mail: Mail) => {
    const pause = await deliver(deps, mail)
    await (pause === undefined ? deleteMail(sql, mail.id) : postponeMail(sql, mail.id, pause))
  }
  return repeat({
    name: "sending mails",
    everyMs: POLL_MS,
    log,
    work: async (isStopping) => {
      while (!isStopping()) {
        const mails = await leaseDueMails(sql)
        if (mails.length === 0) return
        await Promise.all(mails.map(handle))
      }
    },
  })
}

/** Plain text, with the link on its own line, so that every mail program shows it right. `page`: a URL with `{token}`. */
const resetMessage = (to: string, page: string | undefined, token: string): Message => ({
  to,
  subject: "Reset your password",
  text: [
    "Somebody asked for a new password for your account. If it was you, set it " +
      (page === undefined ? "with this token:" : "here:"),
    "",
    page === undefined ? token : page.replaceAll("{token}", token),
    "",
    `It works once and expires in an hour. If it was not you, ignore this mail:`,
    "your password stays as it is.",
    "",
  ].join("\n"),
})

const emailChangedMessage = (to: string, at: string): Message => ({
  to,
  subject: "The email of your account was changed",
  text: [
    `Since ${at} your account has another email than this one.`,
    "",
    "If it was not you who changed it, tell whoever runs the service:",
    "somebody knows your password.",
    "",
  ].join("\n"),
})

type Mail = {
  id: string
  kind: "password_reset" | "email_changed"
  recipient: string
  attempts: number
  created_at: string
  /** After this time it is not sent any more. */
  expires_at: string
}

export const enqueueMail = (sql: Statements, kind: Mail["kind"], recipient: string) => sql`
  insert into mails (id, kind, recipient, expires_at)
  values (${crypto.randomUUID()}, ${kind}, ${recipient}, now() + interval '1 day')`

/** If two instances find the same row, one waits for the other and then finds it no longer due. */
const leaseDueMails = (sql: Sql) => sql<Mail[]>`
  update mails
  set attempts = attempts + 1,
    due_at = now() + make_interval(secs => ${LEASE_SECONDS})
  where due_at <= now()
    and expires_at > now()
    and id in (
      select id
      from mails
      where due_at <= now()
        and expires_at > now()
      order by due_at
      limit ${AT_ONCE}
    )
  returning id, kind, recipient, attempts, created_at, expires_at`

const postponeMail = (sql: Sql, id: string, seconds: number) => sql`
  update mails
  set due_at = now() + make_interval(secs => ${seconds})
  where id = ${id}`

/** For the metrics: mails that wait, and of those the ones that were refused before. */
export const countMails = async (sql: Sql) => {
  const [row] = await sql<{ waiting: number; failed: number }[]>`
    select count(*)::integer as waiting,
      (count(*) filter (where attempts > 1))::integer as failed
    from mails
    where expires_at > now()`
  return row ?? { waiting: 0, failed: 0 }
}

const deleteMail = (sql: Sql, id: string) => sql`
  delete from mails
  where id = ${id}`
