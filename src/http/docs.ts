/** /docs: the API reference, its OpenAPI document, and all that the page needs. */
import { swagger } from "@elysiajs/swagger"
import { Elysia } from "elysia"
import scalar from "../../node_modules/@scalar/api-reference/dist/browser/standalone.js" with {
  type: "file",
}
import { version } from "../../package.json"
import { constant } from "./constant.ts"
import { page } from "./docs-page.ts"
import { openapi, type RawDocument } from "./openapi.ts"
import { introduction } from "./openapi-problems.ts"

/** Scalar sets styles from its script, and draws some icons as `data:`. All else is ours. */
const contentSecurityPolicy = [
  "default-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "font-src 'self' data:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ")

const documentation = {
  info: { title: "Todo API", version, description: introduction },
  servers: [{ url: "/", description: "This server" }],
  tags: [
    {
      name: "accounts",
      "x-displayName": "Accounts",
      description: "Registering, logging in and out, and the caller's account",
    },
    {
      name: "todos",
      "x-displayName": "Todos",
      description: "The caller's own todos: nobody else can see them",
    },
    {
      name: "health",
      "x-displayName": "Health",
      description: "For load balancers and orchestrators",
    },
  ],
  components: {
    securitySchemes: {
      bearerAuth: {
        type: "http" as const,
        scheme: "bearer",
        bearerFormat: "JWT",
        description: "The `access_token` of a login",
      },
    },
  },
}

const hidden = { detail: { hide: true } }

export const docs = () => {
  const plugin = swagger({ path: "/docs", documentation })
  let document: Promise<string> | undefined
  const readRoutes = async () => {
    const raw = await plugin.handle(new Request("http://localhost/docs/json"))
    return openapi((await raw.json()) as RawDocument)
  }
  const json = constant(() => (document ??= readRoutes()), { "content-type": "application/json" })
  const html = constant(async () => page, {
    "content-type": "text/html; charset=utf-8",
    "content-security-policy": contentSecurityPolicy,
    "referrer-policy": "no-referrer",
  })
  const script = constant(() => Bun.file(scalar).bytes(), {
    "content-type": "text/javascript; charset=utf-8",
  })
  return (
    new Elysia()
      .use(plugin)
      // These take the place of the plugin's own page and document.
      .get("/docs", html, hidden)
      .get("/docs/json", json, hidden)
      .get("/openapi.json", json, hidden)
      .get("/docs/scalar.js", script, hidden)
      .get("/", ({ redirect }) => redirect("/docs"), hidden)
  )
}
