/** Security events in the log: what happened to whom, and from where. */
import { expect, test } from "bun:test"
import { startProcess } from "../support/process.ts"
import { sessionIdOf } from "../support/sessions.ts"

test("security events are logged with user id and address, and without email, password or token", async () => {
  await using service = await startProcess({ TRUSTED_PROXIES: "127.0.0.0/8" })
  const ada = await service.account("grace-unspoken@example.org", "password-unspoken")
  const logIn = (email: string, password: string, from: string) =>
    service.call("POST", "/api/v1/auth/login", {
      headers: { "x-forwarded-for": from },
      body: { email, password },
    })
  const refresh = (refresh_token: string) =>
    service.call("POST", "/api/v1/auth/refresh", { body: { refresh_token } })

  await logIn(ada.email, "wrong-unspoken", "198.51.100.7")
  for (let i = 0; i < 11; i++)
    await logIn("nobody-unspoken@example.org", "wrong-unspoken", "198.51.100.8")
  const second = await service.session(ada)
  await ada.delete(`/users/me/sessions/${sessionIdOf(second.token)}`)
  const third = await service.session(ada)
  const { refresh_token } = (await refresh(third.refreshToken)).body as { refresh_token: string }
  await refresh(refresh_token)
  await refresh(third.refreshToken)
  const change = { current_password: "password-unspoken", new_password: "new-password-unspoken" }
  await ada.put("/users/me/password", { ...change, current_password: "wrong-unspoken" })
  const changed = (await ada.put("/users/me/password", change)).body as { access_token: string }
  await service.withToken(changed.access_token).delete("/users/me")
  await service.stop()
  const log = await service.log()

  // A word: digits may stand in any time or identifier.
  for (const secret of ["unspoken", ada.token, ada.refreshToken, changed.access_token])
    expect(log).not.toContain(secret)
  const events = (await service.lines())
    .filter(({ msg }) => msg === "security event")
    .map(({ event, user_id, address }) => ({ event, user_id, address }))
  const own = (event: string, address = "127.0.0.1") => ({ event, user_id: ada.id, address })
  const nobody = (event: string) => ({ event, user_id: undefined, address: "198.51.100.8" })
  expect(events).toEqual([
    own("login_succeeded"),
    own("login_failed", "198.51.100.7"),
    ...Array.from({ length: 10 }, () => nobody("login_failed")),
    nobody("login_throttled"),
    own("login_succeeded"),
    own("session_ended"),
    own("login_succeeded"),
    own("session_ended_by_reuse"),
    own("login_failed"),
    own("password_changed"),
    own("account_deleted"),
  ])
})
