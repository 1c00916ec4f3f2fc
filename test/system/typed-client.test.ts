/** A client whose types openapi-typescript generates from the document. */
import { expect, mock, test } from "bun:test"
import { join } from "node:path"
import typescript5 from "typescript-5"
import { startApp } from "../support/app.ts"

const directory = join(import.meta.dir, "../generators/typescript")

/** The generator is written against TypeScript 5: the compiler of this project has no API. */
const generateTypes = async (document: string) => {
  mock.module("typescript", () => ({ default: typescript5 }))
  const { default: generate, astToString } = await import("openapi-typescript")
  await Bun.write(join(directory, "api.d.ts"), astToString(await generate(document)))
}

const run = async (...command: string[]) => {
  const child = Bun.spawn([process.execPath, ...command], { stderr: "inherit" })
  const output = await child.stdout.text()
  return { output, exitCode: await child.exited }
}

test("a typed client that was generated from the document compiles and works", async () => {
  await using app = await startApp()
  await generateTypes((await app.call("GET", "/openapi.json")).text)
  expect(await run("x", "tsc", "-p", directory)).toEqual({ output: "", exitCode: 0 })
  const program = await run(join(directory, "program.ts"), app.url)
  expect(JSON.parse(program.output)).toEqual({
    email: "ada@example.org",
    takenCode: "EMAIL_TAKEN",
    untitled: [{ pointer: "/title", message: "is required" }],
    titles: ["Buy milk"],
    total: "1",
    put: "Buy oats",
    completed: true,
    deleted: 204,
    gone: "TODO_NOT_FOUND",
  })
})
