/**
 * Sends the mails in the table of mails. An instance takes a due mail by moving its due time on by
 * LEASE_SECONDS, and then sends it. A mail is deleted when it was sent or is no longer needed. When
 * the mail server refuses it, it becomes due again, later each time, until it expires. If the
 * instance dies, the mail is due again when the lease ends: it may be sent twice, but is never lost.
 */
import type { Logger } from "pino"
import { repeat } from "../concurrency/repeat.ts"
import type { Sql } from "../database/connect.ts"
import { emailChangedMessage, type Message, resetMessage } from "./mail-messages.ts"
import { deleteMail, findRecipient, type Mail, postponeMail, takeDueMails } from "./mail-queries.ts"
import { SENDING_MS, type Send } from "./mail-smtp.ts"
import type { OneTimeToken } from "./random-token.ts"

const POLL_MS = 1_000
/** Mails that are sent at once, each on its own connection to the mail server. */
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

/** Undefined if nobody is to get the mail. */
const compose = async (
  { sql, createPasswordReset, passwordResetUrl }: Deps,
  { kind, recipient, created_at }: Mail,
): Promise<Message | undefined> => {
  if (kind === "email_changed") return emailChangedMessage(recipient, created_at)
  const user = await findRecipient(sql, recipient)
  const reset = user && (await createPasswordReset(user.id))
  return reset && resetMessage(user.email, passwordResetUrl, reset.token)
}

/** What may be logged: the whole answer of a mail server would quote addresses. */
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
    work: async (isStopping) => {
      while (!isStopping()) {
        const mails = await takeDueMails(deps.sql, AT_ONCE, LEASE_SECONDS)
        if (mails.length === 0) return
        await Promise.all(mails.map((mail) => deliver(deps, mail)))
      }
    },
  })
