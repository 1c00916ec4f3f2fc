/** A client as tests want one: any method, any body, and a signed-in user in one call. */
import { randomInt } from "node:crypto"
import { tokenFor } from "./tokens.ts"

type Headers = Record<string, string>
export type Answer = { status: number; headers: globalThis.Headers; body: unknown; text: string }

type Sent = { headers?: Headers; body?: unknown }

/** A string or bytes go as they are, anything else as JSON; its type is JSON unless it is said. */
const encode = (body: unknown) =>
  typeof body === "string" || body instanceof Uint8Array || body instanceof ReadableStream
    ? body
    : JSON.stringify(body)

const parse = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** What finds no connection in time, on a busy machine, comes again, as it is told to. */
export const patiently = async <Answer extends { status: number }>(ask: () => Promise<Answer>) => {
  let answer = await ask()
  for (let times = 0; answer.status === 503 && times < 50; times++) {
    await Bun.sleep(100)
    answer = await ask()
  }
  return answer
}

/** `lastError`: what the service logged last, for the answers that should never be. */
export const createClient = (url: string, lastError?: () => string) => {
  const call = async (
    method: string,
    path: string,
    { headers = {}, body }: Sent = {},
  ): Promise<Answer> => {
    const response = await fetch(url + path, {
      method,
      redirect: "manual",
      ...(body === undefined
        ? { headers }
        : { headers: { "content-type": "application/json", ...headers }, body: encode(body) }),
    })
    const text = await response.text()
    if (response.status === 500 && lastError)
      console.error(`500 for ${method} ${path}\n${lastError()}`)
    return { status: response.status, headers: response.headers, body: parse(text), text }
  }

  /** Calls under /api/v1 with a token. */
  const withToken = (token: string) => {
    const as =
      (method: string) =>
      (path: string, body?: unknown, headers: Headers = {}) =>
        call(method, `/api/v1${path}`, {
          headers: { authorization: `Bearer ${token}`, ...headers },
          body,
        })
    return {
      token,
      get: (path: string, headers?: Headers) => as("GET")(path, undefined, headers),
      delete: (path: string, headers?: Headers) => as("DELETE")(path, undefined, headers),
      post: as("POST"),
      put: as("PUT"),
      patch: as("PATCH"),
    }
  }

  /** Signed in by a system that shares the secret: with no password to hash, twice. */
  const user = async () => {
    const id = randomInt(2 ** 40, 2 ** 41)
    const caller = withToken(tokenFor(id))
    const { status } = await patiently(() => caller.get("/users/me"))
    if (status !== 200) throw new Error(`A federated user is not let in: ${status}`)
    return { ...caller, id }
  }

  const logIn = async ({ email, password }: { email: string; password: string }) => {
    const answer = await call("POST", "/api/v1/auth/login", { body: { email, password } })
    const { access_token = "", refresh_token = "" } = answer.body as Record<string, string>
    return { status: answer.status, ...withToken(access_token), refreshToken: refresh_token }
  }

  /** The tokens of a login that has to succeed: without them other tests would test refusals. */
  const session = async (credentials: { email: string; password: string }) => {
    const { status, ...tokens } = await patiently(() => logIn(credentials))
    if (status !== 200) throw new Error(`${credentials.email} cannot log in: ${status}`)
    return tokens
  }

  let accounts = 0
  /** Registered and logged in. */
  const account = async (email = `user-${++accounts}@example.org`, password = "correct horse") => {
    const body = { email, password }
    const registered = await patiently(() => call("POST", "/api/v1/auth/register", { body }))
    const tokens = await session(body)
    // Where it was done, and refused all the same, the email is taken.
    const known = registered.status === 409 ? await tokens.get("/users/me") : registered
    const { id } = known.body as { id: number }
    return { ...tokens, id, email, password }
  }

  return { call, withToken, logIn, session, user, account }
}

export type User = Awaited<ReturnType<ReturnType<typeof createClient>["user"]>>
