/** Sends mails by SMTP. The library is loaded with the first mail, so that starts stay fast. */
import type { Message } from "./mail-messages.ts"

const CONNECT_MS = 10_000
/** How long a server may be silent. */
const SILENCE_MS = 20_000
/** Sending a mail is given up after this time. */
export const SENDING_MS = 60_000

export type Send = (message: Message) => Promise<void>

const refusal = (): never => {
  throw new Error("The mail server took too long")
}

/** With smtps:// TLS is used from the start, with smtp:// as soon as the server offers it. */
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
  return async (message) => {
    transport ??= createTransport()
    const sent = (await transport).sendMail({
      from,
      ...message,
      // RFC 3834: asks not to be answered by holiday notices.
      headers: { "Auto-Submitted": "auto-generated" },
    })
    await Promise.race([sent, Bun.sleep(SENDING_MS).then(refusal)])
  }
}
