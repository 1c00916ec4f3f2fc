/**
 * Sends what is in the table of mails. A mail is due; whoever takes it moves that on by LEASE, and
 * sends it. Sent, or of no use any more, it is deleted. Refused, it is due again, later each time,
 * until it expires. An instance that dies with it leaves it due when the lease ends: a mail may
 * come twice, and is never lost.
 */
import type { Logger } from "pino"
import type { Sql } from "../../database/connection.ts"
import { repeat } from "../../jobs/repeat.ts"
import type { OneTimeToken } from "../one-time-token.ts"
import { emailChangedMessage, type Message, resetMessage } from "./messages.ts"
import { deleteMail, findRecipient, type Mail, postponeMail, takeDueMails } from "./queries.ts"
import { SENDING_MS, type Send } from "./smtp.ts"

const POLL_MS = 1_000
/** So many mails, and connections to the mail server, at once. */
const AT_ONCE = 5
const LEASE_SECONDS = (2 * SENDING_MS) / 1_000
const FIRST_PAUSE_SECONDS = 2
const LONGEST_PAUSE_SECONDS = 3_600

type Deps = {
  sql: Sql
  log: Logger
  send: Send
  /** Undefined for a user who may not set a password. */
  createPasswordReset: (userId: number) => Promise<OneTimeToken | undefined>
  passwordResetUrl: string | undefined
}

/** Undefined where there is nobody to send it to. */
const compose = async (
  { sql, createPasswordReset, passwordResetUrl }: Deps,
  { kind, recipient, created_at }: Mail,
): Promise<Message | undefined> => {
  if (kind === "email_changed") return emailChangedMessage(recipient, created_at)
  const user = await findRecipient(sql, recipient)
  const reset = user && (await createPasswordReset(user.id))
  return reset && resetMessage(user.email, passwordResetUrl, reset.token)
}

/** What the log may know: a mail server's answers quote addresses. */
const reasonOf = (error: unknown) => {
  const { code, responseCode } = error as { code?: unknown; responseCode?: unknown }
  return { code, response: responseCode }
}

const deliver = async (deps: Deps, mail: Mail) => {
  const { sql, log, send } = deps
  const message = await compose(deps, mail)
  try {
    if (message) await send(message)
  } catch (error) {
    const pause = Math.min(FIRST_PAUSE_SECONDS * 2 ** (mail.attempts - 1), LONGEST_PAUSE_SECONDS)
    const about = { mail: mail.id, kind: mail.kind, attempts: mail.attempts, ...reasonOf(error) }
    if (Date.now() + pause * 1_000 < Date.parse(mail.expires_at)) {
      log.warn(
        { ...about, retry_in_seconds: pause },
        "a mail was not sent, and will be tried again",
      )
      await postponeMail(sql, mail.id, pause)
      return
    }
    log.error(about, "a mail was not sent, and is given up")
  }
  await deleteMail(sql, mail.id)
}

/** Returns the function that stops it. */
export const startOutbox = (deps: Deps) =>
  repeat({
    name: "sending mails",
    everyMs: POLL_MS,
    log: deps.log,
    work: async () => {
      for (;;) {
        const mails = await takeDueMails(deps.sql, AT_ONCE, LEASE_SECONDS)
        if (mails.length === 0) return
        await Promise.all(mails.map((mail) => deliver(deps, mail)))
      }
    },
  })
