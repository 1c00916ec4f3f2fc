/** The methods that a path has: 405 and OPTIONS with Allow (RFC 9110, sections 9.3.7 and 15.5.6). */
import { Problem } from "../errors.ts"

export type Route = { method: string; path: string }

const toPattern = (path: string) =>
  new RegExp(`^${path.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&").replaceAll(/:\w+/g, "[^/]+")}$`)

/** The Allow header of a path, or undefined where no route has it. */
const allowed = (routes: Route[], path: string): string | undefined => {
  const methods = new Set<string>()
  for (const route of routes) if (toPattern(route.path).test(path)) methods.add(route.method)
  if (methods.size === 0) return undefined
  if (methods.has("GET")) methods.add("HEAD")
  return [...methods.add("OPTIONS")].sort().join(", ")
}

/** The answer to a request that no route takes. */
export const unrouted = (request: Request, routes: Route[]) => {
  // Null where the Host of the request is none.
  const path = URL.parse(request.url)?.pathname
  const allow = path === undefined ? undefined : allowed(routes, path)
  if (allow === undefined) throw new Problem("NOT_FOUND", "There is nothing at this path")
  if (request.method === "OPTIONS") return new Response(null, { status: 204, headers: { allow } })
  throw new Problem("METHOD_NOT_ALLOWED", `This path takes ${allow}`, { headers: { allow } })
}
