/** 405 and OPTIONS, with the methods of a path in Allow (RFC 9110, sections 9.3.7 and 15.5.6). */
import { Problem } from "./problem.ts"

export type Route = { method: string; path: string }

const toPattern = (path: string) =>
  new RegExp(`^${path.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&").replaceAll(/:\w+/g, "[^/]+")}$`)

/** Returns a function that finds the methods of a path. There are none if no route has it. */
export const methodTable = (routes: Route[]) => {
  const paths = Map.groupBy(routes, ({ path }) => path)
  const table = [...paths].map(([path, those]) => {
    const methods = those.map(({ method }) => method).concat("OPTIONS")
    if (methods.includes("GET")) methods.push("HEAD")
    return { pattern: toPattern(path), methods: methods.sort() }
  })
  return (path: string) => table.find(({ pattern }) => pattern.test(path))?.methods ?? []
}

export const methodNotAllowed = (allow: string) =>
  new Problem("METHOD_NOT_ALLOWED", `This path takes ${allow}`, { headers: { allow } })

/** Answers a request that no route matches. */
export const unrouted = (request: Request, methodsOf: ReturnType<typeof methodTable>) => {
  // Null if the Host header is malformed.
  const methods = methodsOf(URL.parse(request.url)?.pathname ?? "")
  const allow = methods.join(", ")
  if (request.method === "OPTIONS" && allow)
    return new Response(null, { status: 204, headers: { allow } })
  // The path has this method, but was sent in another form, such as /docs#top.
  if (!allow || methods.includes(request.method))
    throw new Problem("NOT_FOUND", "There is nothing at this path")
  throw methodNotAllowed(allow)
}
