/** Better Auth's JWT plugin, as it comes. */
import { expect, test } from "bun:test"
import { betterAuth } from "better-auth"
import { memoryAdapter } from "better-auth/adapters/memory"
import { jwt } from "better-auth/plugins"
import { startApp } from "../../support/app.ts"

/** A Better Auth server as its documentation sets it up, with nothing done for our sake. */
const startBetterAuth = () => {
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: (request): Promise<Response> => auth.handler(request),
  })
  const url = `http://127.0.0.1:${server.port}`
  const tables = { user: [], session: [], account: [], verification: [], jwks: [] }
  const auth = betterAuth({
    baseURL: url,
    secret: "HGnGcc6VNNXSHsyzE8Xj36vnvEzbjwKHyZSZkG0f2vk",
    database: memoryAdapter(tables),
    emailAndPassword: { enabled: true },
    plugins: [jwt()],
  })
  return {
    url,
    async signUp(name: string) {
      const signedUp = await fetch(`${url}/api/auth/sign-up/email`, {
        method: "POST",
        headers: { "content-type": "application/json", origin: url },
        body: JSON.stringify({
          name,
          email: `${name}@example.org`,
          password: "correct horse",
        }),
      })
      const cookies = signedUp.headers.getSetCookie().map((cookie) => cookie.split(";")[0])
      const answer = await fetch(`${url}/api/auth/token`, {
        headers: { cookie: cookies.join("; ") },
      })
      return ((await answer.json()) as { token: string }).token
    },
    async [Symbol.asyncDispose]() {
      await server.stop(true)
    },
  }
}

test("users of a Better Auth server keep todos with its tokens as they come", async () => {
  await using betterAuthServer = startBetterAuth()
  await using app = await startApp({
    JWT_ISSUER: betterAuthServer.url,
    JWKS_URL: `${betterAuthServer.url}/api/auth/jwks`,
    JWT_AUDIENCE: betterAuthServer.url,
  })
  const ada = app.withToken(await betterAuthServer.signUp("ada"))
  const bob = app.withToken(await betterAuthServer.signUp("bob"))
  const created = await ada.post("/todos", { title: "milk" })
  expect(created.status).toBe(201)
  expect((await ada.get("/todos")).body).toEqual([created.body])
  expect((await bob.get("/todos")).body).toEqual([])
  expect((await ada.get("/users/me")).body).toMatchObject({ email: null })
})
