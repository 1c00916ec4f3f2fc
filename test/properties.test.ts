import { afterAll, beforeAll, describe, test } from "bun:test"
import { type App, startApp } from "./support/app.ts"
import { readOperations } from "./support/document.ts"
import { expectDocumentedAnswers, seed } from "./support/documented.ts"

/** Of an operation. A large run is `PROPERTY_RUNS=3000 bun test test/properties.test.ts`. */
const RUNS = Number(process.env["PROPERTY_RUNS"] ?? 60)

const operations = await readOperations()
/** Hashing a password takes some 20 ms. */
const isSlow = ({ tags, method }: { tags: string[]; method: string }) =>
  tags.includes("accounts") && method !== "GET"

describe(`whatever is sent (seed ${seed}), the answer is one that the document promises:`, () => {
  let app: App
  beforeAll(async () => {
    app = await startApp()
  })
  afterAll(() => app[Symbol.asyncDispose]())

  for (const operation of operations) {
    const runs = isSlow(operation) ? Math.ceil(RUNS / 5) : RUNS
    test(
      `${operation.method} ${operation.path}`,
      () => expectDocumentedAnswers(app, operation, runs),
      10_000 + runs * 100,
    )
  }
})
