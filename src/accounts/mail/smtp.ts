/** Sending by SMTP. The library is loaded with the first mail: a start does not pay for it. */
import type { Message } from "./messages.ts"

const CONNECT_MS = 10_000
/** How long a server may be silent. */
const SILENCE_MS = 20_000
/** Within which a mail is sent, or is not. */
export const SENDING_MS = 60_000

export type Send = (message: Message) => Promise<void>

const refusal = (): never => {
  throw new Error("The mail server took too long")
}

/** TLS from the start for smtps://, and otherwise as soon as the server offers it. */
export const createSmtp = (url: string, from: string): Send => {
  const createTransport = async () =>
    (await import("nodemailer")).createTransport({
      url,
      connectionTimeout: CONNECT_MS,
      greetingTimeout: CONNECT_MS,
      socketTimeout: SILENCE_MS,
      // Attachments could name files and URLs; there are none.
      disableFileAccess: true,
      disableUrlAccess: true,
    })
  let transport: ReturnType<typeof createTransport> | undefined
  return async (message) => {
    transport ??= createTransport()
    const sent = (await transport).sendMail({
      from,
      ...message,
      // RFC 3834: no holiday notice answers it.
      headers: { "Auto-Submitted": "auto-generated" },
    })
    await Promise.race([sent, Bun.sleep(SENDING_MS).then(refusal)])
  }
}
