/** The OpenAPI document as tests read it: its operations, with every reference resolved. */
import { openapiDocument } from "../../src/commands/openapi.ts"

export type Schema = {
  type?: "object" | "array" | "string" | "integer" | "boolean"
  nullable?: boolean
  enum?: unknown[]
  properties?: Record<string, Schema>
  required?: string[]
  minLength?: number
  maxLength?: number
  minimum?: number
  maximum?: number
  pattern?: string
  format?: string
  example?: unknown
  allOf?: Schema[]
}
type Content = Record<string, { schema: Schema }>
type Parameter = { name: string; in: "path" | "query" | "header"; schema: Schema }
type Answer = {
  headers: Record<string, { required?: boolean; schema: Schema }>
  content?: Content
}
type Described = {
  operationId: string
  summary: string
  description: string
  tags: string[]
  security: unknown[]
  parameters: Parameter[]
  requestBody?: { content: Content }
  responses: Record<string, Answer>
}
type PathItem = Record<string, Described>

export type Operation = Described & { method: string; path: string }

const resolve = (value: unknown, document: unknown): unknown => {
  if (typeof value !== "object" || value === null) return value
  if (Array.isArray(value)) return value.map((item) => resolve(item, document))
  if ("$ref" in value && typeof value.$ref === "string")
    return resolve(
      value.$ref
        .slice(2)
        .split("/")
        .reduce((part, name) => (part as Record<string, unknown>)[name], document),
      document,
    )
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) => [name, resolve(member, document)]),
  )
}

export const readOperations = async (): Promise<Operation[]> => {
  const document: unknown = JSON.parse(await openapiDocument())
  const { paths } = resolve(document, document) as { paths: Record<string, PathItem> }
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      ...operation,
      method: method.toUpperCase(),
      path,
    })),
  )
}
