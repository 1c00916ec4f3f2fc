/** Entity tags: If-Match and If-None-Match. */
import { expect, test } from "bun:test"
import { expectedVersions, matchesWeakly } from "../../src/http/entity-tag.ts"
import { shareApp } from "../support/shared-app.ts"

const { app } = await shareApp()
const ada = await app.user()

const create = async () => {
  const { body, headers } = await ada.post("/todos", { title: "milk" })
  const { id } = body as { id: number }
  return { path: `/todos/${id}`, etag: headers.get("etag") ?? "", body }
}

const writes = {
  PUT: (path: string, ifMatch: string) => ada.put(path, { title: "tea" }, { "if-match": ifMatch }),
  PATCH: (path: string, ifMatch: string) =>
    ada.patch(path, { title: "tea" }, { "if-match": ifMatch }),
  DELETE: (path: string, ifMatch: string) => ada.delete(path, { "if-match": ifMatch }),
}

test("an entity tag is strong", async () => {
  expect((await create()).etag).toMatch(/^"[^"]+"$/)
})

for (const [method, write] of Object.entries(writes)) {
  const success = method === "DELETE" ? 204 : 200

  test(`${method} succeeds where If-Match names the todo's tag`, async () => {
    for (const condition of [
      (etag: string) => etag,
      (etag: string) => `"other", ${etag}`,
      (etag: string) => `"a,b",W/${etag},, ${etag} ,`,
      () => "*",
      // What proxies that compress make of it: nginx, Apache, Caddy and others.
      (etag: string) => `W/${etag}`,
      ...["gzip", "br", "zstd"].map(
        (coding) => (etag: string) => `${etag.slice(0, -1)}-${coding}"`,
      ),
      (etag: string) => `"other-gzip", W/${etag.slice(0, -1)}-br"`,
    ]) {
      const { path, etag } = await create()
      expect((await write(path, condition(etag))).status).toBe(success)
    }
  })

  test(`${method} is refused where it does not, and changes nothing`, async () => {
    const { path, etag, body } = await create()
    for (const condition of [
      '"other"',
      `w/${etag}`,
      `${etag.slice(0, -1)}-deflate"`,
      `${etag.slice(0, -1)}-gzip-br"`,
      etag.replaceAll('"', ""),
      `"x${etag.slice(1)}`,
      `"0${etag.slice(1)}`,
      `${etag} and more`,
      `*, ${etag}`,
      `"a, ${etag.slice(1, -1)}, b"`,
      '"99999999999999999999"',
      ",",
      '"',
    ]) {
      const refused = await write(path, condition)
      expect(refused).toMatchObject({ status: 412, body: { error_code: "PRECONDITION_FAILED" } })
      // It says which version the todo has.
      expect(refused.headers.get("etag")).toBe(etag)
      expect((refused.body as { detail: string }).detail).toContain(etag)
    }
    const now = await ada.get(path)
    expect(now.body).toEqual(body)
    expect(now.headers.get("etag")).toBe(etag)
  })

  test(`${method} of a todo that is gone is a 404, whatever If-Match says`, async () => {
    const { path, etag } = await create()
    await ada.delete(path)
    for (const condition of [etag, "*", '"other"', ","])
      expect((await write(path, condition)).status).toBe(404)
  })
}

test("a list of nothing but commas takes no longer than it is long", () => {
  const commas = `${",".repeat(200_000)}x`
  // Of this process alone: others may keep it from running.
  const before = process.cpuUsage()
  expect(expectedVersions(commas)).toEqual([])
  expect(matchesWeakly(`"a"${commas}`, '"1"')).toBe(false)
  // Two ways to read each comma took a minute.
  expect(process.cpuUsage(before).user / 1_000).toBeLessThan(1_000)
})

test("a tag is stale after a change", async () => {
  const { path, etag } = await create()
  const changed = await ada.patch(path, { title: "tea" })
  expect((await ada.delete(path, { "if-match": etag })).status).toBe(412)
  const current = changed.headers.get("etag") ?? ""
  expect((await ada.delete(path, { "if-match": current })).status).toBe(204)
})

test("of many writers with one tag exactly one succeeds", async () => {
  const { path, etag } = await create()
  const answers = await Promise.all(
    Array.from({ length: 20 }, (_, i) =>
      ada.put(path, { title: `writer ${i}` }, { "if-match": etag }),
    ),
  )
  const winners = answers.filter(({ status }) => status === 200)
  expect(winners).toHaveLength(1)
  expect(answers.filter(({ status }) => status === 412)).toHaveLength(19)
  expect((await ada.get(path)).body).toEqual(winners[0]?.body as object)
})

test("of writers and deleters with one tag exactly one succeeds", async () => {
  for (let round = 0; round < 5; round++) {
    const { path, etag } = await create()
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, i) =>
        i % 2 ? writes.DELETE(path, etag) : writes.PATCH(path, etag),
      ),
    )
    expect(answers.filter(({ status }) => status < 300)).toHaveLength(1)
    for (const { status } of answers) expect([200, 204, 404, 412]).toContain(status)
  }
})

test("writers without a tag all succeed, and no change is lost", async () => {
  const { path, etag } = await create()
  const answers = await Promise.all([
    ada.patch(path, { title: "tea" }),
    ada.patch(path, { description: "green" }),
    ada.patch(path, { is_completed: true }),
  ])
  const { body } = await ada.get(path)
  expect(body).toMatchObject({ title: "tea", description: "green", is_completed: true })
  const tags = answers.map(({ headers }) => headers.get("etag") ?? "")
  expect(new Set([etag, ...tags]).size).toBe(4)
})

test("GET answers 304 without a body where If-None-Match names the tag, in any form of it", async () => {
  const { path, etag } = await create()
  const zipped = `${etag.slice(0, -1)}-gzip"`
  for (const known of [etag, `W/${etag}`, zipped, `W/${zipped}`, `"a,b", ${etag}`, "*"]) {
    const answer = await ada.get(path, { "if-none-match": known })
    expect(answer).toMatchObject({ status: 304, text: "" })
    expect(answer.headers.get("etag")).toBe(etag)
    expect(answer.headers.get("cache-control")).toBe("private, no-cache")
  }
})

test("GET answers 200 where If-None-Match names other tags, or none", async () => {
  const { path, etag, body } = await create()
  for (const known of ['"other"', etag.slice(1, -1), `x${etag}`, `"${etag.slice(1, -1)},b"`, ""])
    expect(await ada.get(path, { "if-none-match": known })).toMatchObject({ status: 200, body })
})

test("HEAD answers 304 as GET does", async () => {
  const { path, etag } = await create()
  const headers = { authorization: `Bearer ${ada.token}`, "if-none-match": etag }
  expect((await app.call("HEAD", `/api/v1${path}`, { headers })).status).toBe(304)
})
