/** The query of a request, read strictly: no parameter twice, and nothing that is not UTF-8. */
import { t } from "elysia"
import { type BrokenRule, badRequest } from "../errors.ts"

const decode = (part: string): string | undefined => {
  try {
    return decodeURIComponent(part.replaceAll("+", " "))
  } catch {
    return undefined
  }
}

/** Throws a 400 that names each parameter that is repeated or not valid UTF-8. */
const readQuery = (url: string): Record<string, string> => {
  const query: Record<string, string> = Object.create(null)
  const start = url.indexOf("?")
  if (start === -1) return query
  const errors: BrokenRule[] = []
  for (const pair of url.slice(start + 1).split("&")) {
    if (pair === "") continue
    const [rawName = "", ...rest] = pair.split("=")
    const name = decode(rawName)
    const value = decode(rest.join("="))
    if (name === undefined || value === undefined)
      errors.push({ parameter: name ?? rawName, message: "is not valid UTF-8" })
    else if (name in query) errors.push({ parameter: name, message: "must not be repeated" })
    else query[name] = value
  }
  if (errors.length > 0) throw badRequest(errors)
  return query
}

/** For a transform: it runs after authentication, and before the query meets its schema. */
export const strictQuery = (context: { request: Request; query: Record<string, unknown> }) => {
  context.query = readQuery(context.request.url)
}

/** The schema of a route that takes no parameters at all. */
export const noQuery = t.Object({}, { additionalProperties: false })
