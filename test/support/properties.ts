/** One test an operation of the document: whatever is sent, the answer is one that it promises. */

import { describe, test } from "bun:test"
import { type Operation, readOperations } from "./document.ts"
import { expectDocumentedAnswers, seed } from "./documented.ts"
import { shareApp } from "./shared-app.ts"

/** Hashing a password takes some 20 ms. */
const isSlow = ({ tags, method }: Operation) =>
  method !== "GET" && ["Authentication", "Account"].some((tag) => tags.includes(tag))

/** An answer that does not end is none to wait for: test/todos/events.test.ts reads it. */
const isStream = ({ responses }: Operation) =>
  Object.values(responses).some(({ content = {} }) => "text/event-stream" in content)

/** `runs`: how many requests are made up for each operation. */
export const testDocumentedAnswers = async (runs: number) => {
  const { app, sql } = await shareApp()
  const operations = (await readOperations()).filter((operation) => !isStream(operation))
  describe(`whatever is sent (seed ${seed}), the answer is one that the document promises:`, () => {
    for (const operation of operations) {
      const some = isSlow(operation) ? Math.ceil(runs / 5) : runs
      test(
        `${operation.method} ${operation.path}`,
        () => expectDocumentedAnswers(app, sql, operation, some),
        300_000 + some * 200,
      )
    }
  })
}
