/** Tokens as another system that shares SECRET_KEY would sign them, well or badly. */
import { createHmac } from "node:crypto"

export const SECRET_KEY = "a secret key for tests, longer than 64 bytes so that HS512 takes it too"

type Json = Record<string, unknown>

const part = (value: unknown) =>
  Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url")

export const secondsFromNow = (seconds: number) => Math.floor(Date.now() / 1000) + seconds

/** A string as claims is taken as JSON text, for what JSON.stringify would not write. */
export const signToken = (claims: Json | string, header: Json = {}, secret = SECRET_KEY) => {
  const all: Json = { alg: "HS256", typ: "JWT", ...header }
  const input = `${part(all)}.${part(claims)}`
  const hash = `sha${/^HS(\d+)$/.exec(String(all["alg"]))?.[1] ?? "256"}`
  return `${input}.${createHmac(hash, secret).update(input).digest("base64url")}`
}

/** A good token for a user id, with `sub` and `exp` and no more. */
export const tokenFor = (id: number | string, more: Json = {}) =>
  signToken({ sub: String(id), exp: secondsFromNow(600), ...more })

export const claimsOf = (token: string): Json =>
  JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString())
