import { testDocumentedAnswers } from "../support/properties.ts"

await testDocumentedAnswers(30)
