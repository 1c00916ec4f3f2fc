import { expect, test } from "bun:test"
import { startApp } from "./support/app.ts"

test("a todo that was created can be read, changed and deleted", async () => {
  await using app = await startApp()
  const ada = await app.user()
  const created = await ada.post("/todos", { title: "milk" })
  expect(created.status).toBe(201)
  const path = created.headers.get("location")?.replace("/api/v1", "") ?? ""
  expect((await ada.get(path)).body).toEqual(created.body)
  expect((await ada.patch(path, { is_completed: true })).body).toMatchObject({
    title: "milk",
    is_completed: true,
  })
  expect((await ada.delete(path)).status).toBe(204)
  expect((await ada.get(path)).status).toBe(404)
})
