/** The query of a request, read strictly: no parameter twice, and nothing that is not UTF-8. */
import { t } from "elysia"

const decode = (part: string): string | undefined => {
  try {
    return decodeURIComponent(part.replaceAll("+", " "))
  } catch {
    return undefined
  }
}

/** The value of a parameter that no schema takes, so that its 400 names this one with all others. */
export class Unreadable {
  constructor(readonly message: string) {}
}
const repeated = new Unreadable("must not be repeated")
const notUtf8 = new Unreadable("is not valid UTF-8")

/** More than any route takes, so that of more than these some are unknown, and are named. */
const PARAMETERS_READ = 64

const readQuery = (url: string): Record<string, string | Unreadable> => {
  const query: Record<string, string | Unreadable> = Object.create(null)
  const start = url.indexOf("?")
  if (start === -1) return query
  let read = 0
  for (const pair of url.slice(start + 1).split("&")) {
    if (pair === "") continue
    if (read++ === PARAMETERS_READ) break
    const [rawName = "", ...rest] = pair.split("=")
    const name = decode(rawName)
    const value = decode(rest.join("="))
    if (name === undefined || value === undefined) query[name ?? rawName] = notUtf8
    else query[name] = name in query ? repeated : value
  }
  return query
}

/** For a transform: it runs after authentication, and before the query meets its schema. */
export const strictQuery = (context: { request: Request; query: Record<string, unknown> }) => {
  context.query = readQuery(context.request.url)
}

/** The schema of a route that takes no parameters at all. */
export const noQuery = t.Object({}, { additionalProperties: false })
