/** /health: liveness and readiness probes. */
import { Elysia, t } from "elysia"
import { unavailable } from "./problem.ts"

const ok = { status: "ok" as const }
const response = t.Object({ status: t.Literal("ok") }, { $id: "Health", description: "Healthy" })

export const health = (isReady: () => Promise<boolean>) =>
  new Elysia({ prefix: "/health" })
    .onBeforeHandle(({ set }) => {
      set.headers["cache-control"] = "no-store"
    })
    .get("/live", () => ok, {
      response,
      detail: {
        operationId: "getLiveness",
        summary: "Liveness",
        description:
          "Succeeds while the process serves requests. Restart it if there is no response.",
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
          summary: "Readiness",
          description:
            "Succeeds when the database answers, can be written to, and has the schema that this version needs.",
          errors: ["SERVICE_UNAVAILABLE"],
        },
      },
    )
