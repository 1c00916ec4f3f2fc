/** The example application, bundled as its users would, and a web server for it. */
import { join } from "node:path"

const directory = join(import.meta.dir, "..", "client", "examples", "todos")

/** A page at an origin of its own, which takes the API's address as `?api=`. */
export const serveExample = async () => {
  const { outputs } = await Bun.build({
    entrypoints: [join(directory, "index.html")],
    target: "browser",
    // React then says in the console what is wrong with a component.
    define: { "process.env.NODE_ENV": '"development"' },
  })
  const files = new Map(outputs.map((file) => [file.path.replace(/^\.?\//, ""), file]))
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: ({ url }) => {
      const file = files.get(new URL(url).pathname.slice(1) || "index.html")
      return file ? new Response(file) : new Response("Not found", { status: 404 })
    },
  })
  return {
    origin: server.url.origin,
    address: (api: string) => `${server.url.origin}/?api=${encodeURIComponent(api)}`,
    [Symbol.dispose]: () => void server.stop(true),
  }
}
