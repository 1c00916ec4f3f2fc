/** A few generated requests for each operation; the system tests send many. */
import { testDocumentedAnswers } from "../support/properties.ts"

await testDocumentedAnswers(30)
