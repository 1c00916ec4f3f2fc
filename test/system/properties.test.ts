/** Very many generated requests for each operation. */
import { testDocumentedAnswers } from "../support/properties.ts"

await testDocumentedAnswers(Number(process.env["PROPERTY_RUNS"] ?? 1_500))
