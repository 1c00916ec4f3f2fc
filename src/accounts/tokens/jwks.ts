/** Fetches the public keys of JWT_ISSUER when they are needed (RFC 7517, section 5). */
import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTVerifyGetKey } from "jose"
import type { Logger } from "pino"
import { readChunks } from "../../http/json-body.ts"
import { unavailable } from "../../http/problem.ts"

const FETCH_TIMEOUT_MS = 2_000
/** Bytes. A key takes about 500. */
const SIZE_LIMIT = 256 * 1024
const FRESH_MS = 5 * 60_000
/** Between two fetches for a key that the issuer may not have. */
const MISS_PAUSE_MS = 30_000
/** Between two fetches while they fail. */
const FAILURE_PAUSE_MS = 1_000

const fetchKeys = async (url: string): Promise<JWTVerifyGetKey> => {
  const response = await fetch(url, {
    headers: { accept: "application/jwk-set+json, application/json" },
    redirect: "error",
    signal: AbortSignal.timeout(FETCH_TIMEOUT_MS),
  })
  if (response.status !== 200) throw new Error(`The key set has status ${response.status}`)
  const refuse = () => new Error("The key set is too large")
  const bytes = await readChunks(response.body ?? [], SIZE_LIMIT, refuse)
  return createLocalJWKSet(JSON.parse(Buffer.from(bytes).toString()) as JSONWebKeySet)
}

/**
 * Finds the key of a token, for jose. Throws a 503 if the keys cannot be fetched, and jose's
 * JWKSNoMatchingKey if the issuer has no such key.
 */
export const createJwks = (url: string, log: Logger): JWTVerifyGetKey => {
  let keys: JWTVerifyGetKey | undefined
  let fetchedAt = Number.NEGATIVE_INFINITY
  let failedAt = Number.NEGATIVE_INFINITY
  let missedAt = Number.NEGATIVE_INFINITY
  let underWay: Promise<boolean> | undefined

  const fetchNow = async () => {
    try {
      keys = await fetchKeys(url)
      fetchedAt = performance.now()
      return true
    } catch (err) {
      log.warn({ err }, "the issuer's keys could not be fetched")
      failedAt = performance.now()
      return false
    } finally {
      underWay = undefined
    }
  }

  /** Resolves to whether it fetched the keys. Concurrent calls share one fetch. */
  const refresh = async () => {
    if (underWay) return underWay
    if (performance.now() < failedAt + FAILURE_PAUSE_MS) return false
    underWay = fetchNow()
    return underWay
  }

  const loaded = async (): Promise<JWTVerifyGetKey> => {
    if (performance.now() > fetchedAt + FRESH_MS) {
      const refreshed = refresh()
      // While the issuer is down, tokens with known keys do not wait for it.
      if (!keys || failedAt < fetchedAt) await refreshed
    }
    if (!keys) throw unavailable("The keys of the token's issuer cannot be fetched")
    return keys
  }

  return async (header, token) => {
    const askedAt = performance.now()
    const find = await loaded()
    try {
      return await find(header, token)
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw error
      // Newer keys have been fetched in the meantime.
      if (find !== keys) return (await loaded())(header, token)
      const isNewest = fetchedAt > askedAt
      if (isNewest) missedAt = fetchedAt
      if (isNewest || performance.now() < missedAt + MISS_PAUSE_MS) throw error
      if (!(await refresh())) throw unavailable("The keys of the token's issuer cannot be fetched")
      missedAt = fetchedAt
      return (await loaded())(header, token)
    }
  }
}
