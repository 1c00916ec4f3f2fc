/** `PROPERTY_RUNS=10000 PROPERTY_SEED=1 bun test …`: many generated requests for each operation. */
import { testDocumentedAnswers } from "../support/properties.ts"

await testDocumentedAnswers(Number(process.env["PROPERTY_RUNS"] ?? 1_500))
