/** The page of the API reference and its files. */
import { expect, test } from "bun:test"
import { shareApp } from "../support/shared-app.ts"

const { app } = await shareApp()

test("GET / redirects to /docs", async () => {
  const { status, headers } = await app.call("GET", "/")
  expect(status).toBe(302)
  expect(headers.get("location")).toBe("/docs")
})

test("the reference is a page that its policy holds to this server", async () => {
  const { status, headers, text } = await app.call("GET", "/docs")
  expect(status).toBe(200)
  expect(headers.get("content-type")).toBe("text/html; charset=utf-8")
  const policy = headers.get("content-security-policy") ?? ""
  expect(policy).toStartWith("default-src 'self';")
  expect(policy).not.toMatch(/https?:|\*|unsafe-eval|script-src/)
  expect(text).not.toMatch(/(src|href|url)\W+(https?:)?\/\//)
  expect((await app.call("GET", "/docs/scalar.js")).headers.get("content-type")).toBe(
    "text/javascript; charset=utf-8",
  )
})

for (const path of ["/docs", "/docs/json", "/openapi.json", "/docs/scalar.js"]) {
  test(`HEAD ${path} has the headers of GET and no body`, async () => {
    const get = await app.call("GET", path)
    const head = await app.call("HEAD", path)
    expect(head.status).toBe(200)
    expect(head.text).toBe("")
    for (const name of ["content-type", "etag", "content-encoding", "content-security-policy"])
      expect(head.headers.get(name)).toBe(get.headers.get(name))
  })

  test(`${path} is compressed for those who take it, and the same`, async () => {
    const plain = await app.call("GET", path, { headers: { "accept-encoding": "gzip;q=0" } })
    const zipped = await app.call("GET", path, { headers: { "accept-encoding": "br, gzip" } })
    expect(plain.headers.get("content-encoding")).toBeNull()
    expect(zipped.headers.get("content-encoding")).toBe("gzip")
    expect(zipped.headers.get("vary")).toBe("accept-encoding")
    expect(zipped.text === plain.text).toBe(true)
  })

  test(`${path} is not sent again to those who have it`, async () => {
    const etag = (await app.call("GET", path)).headers.get("etag") ?? ""
    const again = await app.call("GET", path, { headers: { "if-none-match": `"x", ${etag}` } })
    expect(again.status).toBe(304)
    expect(again.text).toBe("")
    const other = await app.call("GET", path, { headers: { "if-none-match": '"x"' } })
    expect(other.status).toBe(200)
  })
}
