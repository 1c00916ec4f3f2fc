/** A real SMTP server on loopback, which keeps what it gets. */
import { SMTPServer, type SMTPServerOptions } from "smtp-server"

export type Mail = { from: string; to: string[]; subject: string; text: string; isSecure: boolean }

/** Quoted-printable: what was too long for a line, or no ASCII. */
const decode = (text: string) =>
  text
    .replaceAll(/=\r?\n/g, "")
    .replaceAll(/=([0-9A-F]{2})/g, (_, code: string) =>
      String.fromCharCode(Number.parseInt(code, 16)),
    )

const parse = (raw: string) => {
  const end = raw.indexOf("\r\n\r\n")
  const [head, body] = [raw.slice(0, end), raw.slice(end + 4)]
  const isEncoded = /^content-transfer-encoding: quoted-printable/im.test(head)
  return {
    subject: /^subject: (.*)$/im.exec(head)?.[1] ?? "",
    text: isEncoded ? decode(body) : body,
  }
}

export const startMailServer = async (options: SMTPServerOptions = {}, port = 0) => {
  const mails: Mail[] = []
  let refusals = 0
  let refusal = 450
  const server = new SMTPServer({
    authOptional: true,
    logger: false,
    // What it offers a client uses; its certificate is one that nobody trusts.
    hideSTARTTLS: true,
    onRcptTo(_address, _session, done) {
      refusals--
      done(refusals >= 0 ? Object.assign(new Error("Not now"), { responseCode: refusal }) : null)
    },
    async onData(stream, session, done) {
      const chunks: Buffer[] = []
      for await (const chunk of stream) chunks.push(chunk as Buffer)
      const { mailFrom, rcptTo } = session.envelope
      mails.push({
        from: mailFrom === false ? "" : mailFrom.address,
        to: rcptTo.map(({ address }) => address),
        isSecure: session.secure,
        ...parse(Buffer.concat(chunks).toString()),
      })
      done()
    },
    ...options,
  })
  const listening = Promise.withResolvers<void>()
  // Later: a client that does not trust the certificate hangs up.
  server.on("error", listening.reject)
  server.listen(port, "127.0.0.1", listening.resolve)
  await listening.promise
  const address = server.server.address()
  const stop = () => new Promise<void>((resolve) => server.close(resolve))
  return {
    mails,
    port: address !== null && typeof address === "object" ? address.port : 0,
    /** Refuses recipients, for now unless `code` says otherwise. */
    refuse(times: number, code = 450) {
      refusals = times
      refusal = code
    },
    /** Resolves to the mails, once there are so many. */
    async until(count: number) {
      while (mails.length < count) await Bun.sleep(20)
      return mails
    },
    stop,
    [Symbol.asyncDispose]: stop,
  }
}
