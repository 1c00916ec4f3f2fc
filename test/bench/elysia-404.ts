/** The cheapest refusal that Elysia has: a path that it does not know, no hooks, its own answer. */
import { Elysia } from "elysia"

new Elysia().listen({ hostname: "127.0.0.1", port: Number(process.env["PORT"]) })
