/** Who sends a request, as far as a session, a throttle or a queue has to know. */

/** Who sends a request. */
export type Client = {
  address: string
  userAgent: string | null
  /** Aborted when the client has left. */
  signal: AbortSignal
}

const USER_AGENT_LENGTH = 256

/** What a person may be shown: bounded, and without what would not be seen. */
const userAgentOf = ({ headers }: Request) => {
  const visible = (headers.get("user-agent") ?? "").replace(/[\p{Cc}\p{Cf}]/gu, "").trim()
  return visible === "" ? null : [...visible].slice(0, USER_AGENT_LENGTH).join("")
}

export const clientOf = (request: Request, address: string): Client => ({
  address,
  userAgent: userAgentOf(request),
  signal: request.signal,
})
