/** /health: whether the process lives, and whether it can do its work. */
import { Elysia } from "elysia"
import { unavailable } from "../errors.ts"

export const health = (isReady: () => Promise<boolean>) =>
  new Elysia({ prefix: "/health", tags: ["health"] })
    .get("/live", () => ({ status: "ok" }))
    .get("/ready", async () => {
      if (!(await isReady())) throw unavailable("The service is not ready")
      return { status: "ok" }
    })
