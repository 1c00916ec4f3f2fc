/** Who sends a request: what sessions, throttles and queues need to know. */

export type Client = {
  address: string
  userAgent: string | null
  /** Aborted when the client has left. */
  signal: AbortSignal
}

const USER_AGENT_LENGTH = 256

/** Shown to people: so it is short, and without invisible characters. */
const userAgentOf = ({ headers }: Request) => {
  const visible = (headers.get("user-agent") ?? "").replace(/[\p{Cc}\p{Cf}]/gu, "").trim()
  return visible === "" ? null : [...visible].slice(0, USER_AGENT_LENGTH).join("")
}

export const clientOf = (request: Request, address: string): Client => ({
  address,
  userAgent: userAgentOf(request),
  signal: request.signal,
})
