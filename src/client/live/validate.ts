/** The rules that the service has for a todo: an edit that it must refuse is refused before the queue. */
import { rules } from "../api.ts"
import type { BrokenRule } from "../calls.ts"
import { ApiError } from "../errors.ts"
import { MEMBERS, type Members } from "./model.ts"

type Rule = {
  type: string
  required?: boolean
  nullable?: boolean
  minLength?: number
  maxLength?: number
  pattern?: string
}

/** In the words of the service. */
const brokenRule = (rule: Rule, value: unknown): string | undefined => {
  const { type, nullable, minLength = 0, maxLength = 0, pattern = "" } = rule
  if (value === null && nullable) return undefined
  if (type === "boolean") return typeof value === type ? undefined : "must be true or false"
  if (typeof value !== "string") return `must be a string${nullable ? " or null" : ""}`
  if (value.includes("\0")) return "must not contain U+0000"
  if (/[\ud800-\udfff]/u.test(value)) return "must not contain lone surrogates"
  if (value.length < minLength) return "must not be empty"
  // Counted in code points.
  if ([...value].length > maxLength) return `must have at most ${maxLength} characters`
  return new RegExp(pattern, "u").test(value) ? undefined : "must not be only white space"
}

/** Throws the problem that the service would answer with. `isNew`: of a todo that is created. */
export const validate = (todo: Partial<Members>, isNew: boolean) => {
  const errors: BrokenRule[] = []
  for (const member of MEMBERS) {
    const [rule, value]: [Rule, unknown] = [rules[member], todo[member]]
    const message =
      value === undefined ? isNew && rule.required && "is required" : brokenRule(rule, value)
    if (message) errors.push({ pointer: `/${member}`, message })
  }
  if (errors.length === 0) return
  const detail = "The request breaks rules of this API; see errors"
  throw new ApiError({ error_code: "BAD_REQUEST", status: 400, detail, errors })
}
