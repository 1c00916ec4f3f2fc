/** Stands in for those of /todos/changes, /events and /batch that the service does not have yet. */
type Entry = { revision: number; etag: string | null; todo: { id: number } | null }
type User = { revision: number; entries: Map<number, Entry>; watchers: Set<() => void> }

const json = (value: unknown, status = 200, type = "application/json") =>
  new Response(JSON.stringify(value), { status, headers: { "content-type": type } })
const problem = (status: number, error_code: string, errors?: unknown[]) =>
  json(
    { type: "about:blank", title: "-", status, detail: "-", error_code, timestamp: "-", errors },
    status,
    "application/problem+json",
  )

type Wire = { op: string; id?: number; key?: string; if_match?: string; todo?: { title?: string } }

const ROUTES = ["changes", "events", "batch"].map((name) => `/api/v1/todos/${name}`)

export const createStandIn = () => {
  let asked: Promise<string[]> | undefined
  const missing = (url: string) => {
    asked ??= fetch(`${url}/openapi.json`)
      .then((answer) => answer.json())
      .then((document) => (document as { paths: object }).paths)
      .then((paths) => ROUTES.filter((route) => !(route in paths)))
    asked.catch(() => {
      asked = undefined
    })
    return asked
  }
  const users = new Map<string, User>()
  const userOf = (authorization: string) => {
    const sub = String(JSON.parse(atob(authorization.split(".")[1] ?? "")).sub)
    const user = users.get(sub) ?? { revision: 0, entries: new Map(), watchers: new Set() }
    users.set(sub, user)
    return user
  }
  const note = (user: User, id: number, etag: string | null, todo: { id: number } | null) => {
    if (todo && user.entries.get(id)?.etag === etag) return
    user.entries.set(id, { revision: ++user.revision, etag, todo })
    for (const watcher of [...user.watchers]) watcher()
  }

  return async (url: string, path: string, init: RequestInit): Promise<Response> => {
    const headers = new Headers(init.headers)
    const authorization = headers.get("authorization") ?? ""
    const route = path.split("?")[0]
    const absent = route === undefined ? [] : await missing(url)
    if (route === undefined || !absent.includes(route)) {
      const answer = await fetch(url + path, init)
      const [, id] = /^\/api\/v1\/todos(?:\/(\d+))?$/.exec(route ?? "") ?? []
      const isWrite = init.method !== "GET" && route?.startsWith("/api/v1/todos")
      if (absent.includes(ROUTES[0] ?? "") && isWrite && answer.ok) {
        const todo =
          answer.status === 204 ? null : ((await answer.clone().json()) as { id: number })
        note(userOf(authorization), todo?.id ?? Number(id), answer.headers.get("etag"), todo)
      } else if (isWrite) for (const watcher of userOf(authorization).watchers) watcher()
      return answer
    }
    const me = await fetch(`${url}/api/v1/users/me`, { headers: { authorization } })
    if (!me.ok) return me
    await me.text()
    const user = userOf(authorization)
    if (route.endsWith("changes")) {
      const query = new URL(path, url).searchParams
      const since = Number(query.get("since") ?? 0)
      if (query.get("since") !== null && !/^\d+$/.test(query.get("since") ?? ""))
        return problem(400, "BAD_REQUEST", [])
      const limit = 3
      const all = [...user.entries]
        .filter(([, { revision }]) => revision > since)
        .sort(([, a], [, b]) => a.revision - b.revision)
      const page = all.slice(0, limit)
      const has_more = all.length > limit
      return json({
        changes: page.map(([id, { etag, todo }]) => ({ id, etag, todo })),
        next: String(has_more ? page.at(-1)?.[1].revision : user.revision),
        has_more,
      })
    }
    if (route.endsWith("events")) {
      let watcher = () => {}
      const body = new ReadableStream({
        start(controller) {
          watcher = () => {
            try {
              const data = JSON.stringify({ state: String(user.revision) })
              controller.enqueue(new TextEncoder().encode(`event: state\nid: 1\ndata: ${data}\n\n`))
            } catch {
              user.watchers.delete(watcher)
            }
          }
          watcher()
          user.watchers.add(watcher)
        },
        cancel() {
          user.watchers.delete(watcher)
        },
      })
      return new Response(body, { headers: { "content-type": "text/event-stream" } })
    }
    const { operations } = JSON.parse(String(init.body)) as { operations: Wire[] }
    const errors = operations.flatMap(({ todo }, index) =>
      todo?.title === "" ? { pointer: `/operations/${index}/todo/title`, message: "empty" } : [],
    )
    if (errors.length > 0) return problem(400, "BAD_REQUEST", errors)
    const results: unknown[] = []
    for (const { op, id, key, if_match, todo } of operations) {
      const method = op === "create" ? "POST" : op === "update" ? "PATCH" : "DELETE"
      const target = `${url}/api/v1/todos${id === undefined ? "" : `/${id}`}`
      const answer = await fetch(target, {
        method,
        headers: {
          authorization,
          ...(todo && { "content-type": "application/json" }),
          ...(key && { "idempotency-key": key }),
          ...(if_match && { "if-match": if_match }),
        },
        ...(todo && { body: JSON.stringify(todo) }),
      })
      const etag = answer.headers.get("etag")
      const { status } = answer
      const text = await answer.text()
      const value = text === "" ? undefined : JSON.parse(text)
      if (status === 412) {
        const current = await fetch(target, { headers: { authorization } })
        const now = await current.json()
        results.push({ status, etag: current.headers.get("etag"), todo: now, error: value })
      } else if (answer.ok) {
        const replayed = answer.headers.has("idempotent-replayed")
        if (!replayed) note(user, id ?? value.id, etag, value ?? null)
        results.push({ status, etag, todo: value, replayed })
      } else results.push({ status, error: value })
    }
    return json({ results })
  }
}
