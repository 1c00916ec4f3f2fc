/** The OpenAPI document that is served, made from what the Swagger plugin reads from the routes. */
import { swagger } from "@elysiajs/swagger"
import { Elysia, type InternalRoute } from "elysia"
import { version } from "../../../package.json"
import { openapi, type RawDocument } from "./openapi.ts"
import { introduction } from "./problems.ts"

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
        description:
          "The `access_token` of a login, or a personal access token, which is good for /todos alone",
      },
    },
  },
}

export const describe = async (routes: InternalRoute[]): Promise<string> => {
  const plugin = swagger({ path: "/docs", documentation })
  // It describes the instance that it is part of. The app is serving, and takes no more plugins.
  const described = new Elysia().use(plugin)
  for (const { method, path, handler, hooks } of routes)
    described.route(method, path, handler, hooks)
  const raw = await plugin.handle(new Request("http://localhost/docs/json"))
  return openapi((await raw.json()) as RawDocument)
}
