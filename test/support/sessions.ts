/** Calls about sessions, and what tokens are still good for. */
import type { App } from "./app.ts"
import { claimsOf } from "./tokens.ts"

export type Pair = { access_token: string; refresh_token: string }

export const sessionCalls = (app: App) => ({
  async refresh(refresh_token: string, at: App = app) {
    const answer = await at.call("POST", "/api/v1/auth/refresh", { body: { refresh_token } })
    return { ...answer, pair: answer.body as Pair }
  },

  async works(token: string, at: App = app) {
    return (await at.withToken(token).get("/todos")).status === 200
  },
})

export const sessionIdOf = (token: string) => String(claimsOf(token)["jti"]).slice(0, 36)

/** As so many pauses, each with a look after it: a busy machine makes them longer. */
export const within5s = async (isTrue: () => Promise<boolean>) => {
  for (let looks = 0; looks < 100; looks++) {
    if (await isTrue()) return true
    await Bun.sleep(50)
  }
  return isTrue()
}

/** Told to the minute: of a use since that time, and of none that is yet to come. */
export const isUseSince = (time: number, last_used_at = "") => {
  const minute = Date.parse(last_used_at)
  return minute >= time - (time % 60_000) && minute <= Date.now()
}
