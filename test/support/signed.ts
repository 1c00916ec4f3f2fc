/** By which secret tokens are signed, and whether they work. */
import { createHmac } from "node:crypto"
import type { App } from "./app.ts"

export const works = async (token: string, { withToken }: Pick<App, "withToken">) =>
  (await withToken(token).get("/todos")).status === 200

export const isSignedBy = (token: string, secret: string) => {
  const end = token.lastIndexOf(".")
  const signature = createHmac("sha256", secret).update(token.slice(0, end)).digest("base64url")
  return token.slice(end + 1) === signature
}

export const refresh = async ({ call }: Pick<App, "call">, refresh_token: string) => {
  const answer = await call("POST", "/api/v1/auth/refresh", { body: { refresh_token } })
  return { status: answer.status, ...(answer.body as { access_token: string }) }
}
