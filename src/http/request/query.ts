/** Reads queries strictly: no parameter twice, and only valid UTF-8. */
import { t } from "elysia"

const decode = (part: string): string | undefined => {
  try {
    return decodeURIComponent(part.replaceAll("+", " "))
  } catch {
    return undefined
  }
}

/** A value that no schema accepts, so that one 400 names this parameter together with all other faults. */
export class Unreadable {
  constructor(readonly message: string) {}
}
const repeated = new Unreadable("must not be repeated")
const notUtf8 = new Unreadable("is not valid UTF-8")

/** More than any route takes: if there are more, the 400 names unknown ones among these. */
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

/** A transform: it runs after authentication, and before the query is validated. */
export const strictQuery = (context: { request: Request; query: Record<string, unknown> }) => {
  context.query = readQuery(context.request.url)
}

/** The schema of routes without parameters. */
export const noQuery = t.Object({}, { additionalProperties: false })
