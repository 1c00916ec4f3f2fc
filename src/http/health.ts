/** /health: liveness and readiness probes. */
import { Elysia, t } from "elysia"
import { unavailable } from "./problem.ts"

const ok = { status: "ok" as const }
const response = t.Object({ status: t.Literal("ok") }, { $id: "Health", description: "It is well" })

export const health = (isReady: () => Promise<boolean>) =>
  new Elysia({ prefix: "/health", tags: ["health"] })
    .get("/live", () => ok, {
      response,
      detail: {
        operationId: "getLiveness",
        summary: "Ask whether the process lives",
        description: "Whoever gets no answer should restart it.",
      },
    })
    .get(
      "/ready",
      async () => {
        if (!(await isReady())) throw unavailable("The service is not ready")
        return ok
      },
      {
        response,
        detail: {
          operationId: "getReadiness",
          summary: "Ask whether it can do its work",
          description:
            "Whether the database answers, may be written to, and has the schema that this version needs.",
          errors: ["SERVICE_UNAVAILABLE"],
        },
      },
    )
