/** An OpenID-style issuer for tests: keys, tokens, and a JWKS endpoint that can misbehave. */
import {
  createSign,
  generateKeyPairSync,
  type KeyObject,
  randomUUID,
  constants as rsa,
  sign as signRaw,
} from "node:crypto"

type Json = Record<string, unknown>
type Answer = (request: Request) => Response | Promise<Response>

const base64url = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url")

const generators = {
  EdDSA: () => generateKeyPairSync("ed25519"),
  ES256: () => generateKeyPairSync("ec", { namedCurve: "P-256" }),
  ES384: () => generateKeyPairSync("ec", { namedCurve: "P-384" }),
  RS256: () => generateKeyPairSync("rsa", { modulusLength: 2048 }),
  PS256: () => generateKeyPairSync("rsa", { modulusLength: 2048 }),
}
export type Algorithm = keyof typeof generators
export const algorithms = Object.keys(generators) as Algorithm[]

const signature = (alg: Algorithm, input: string, key: KeyObject): Buffer => {
  const data = Buffer.from(input)
  switch (alg) {
    case "EdDSA":
      return signRaw(null, data, key)
    case "RS256":
      return createSign("sha256").update(data).sign(key)
    case "PS256":
      return signRaw("sha256", data, {
        key,
        padding: rsa.RSA_PKCS1_PSS_PADDING,
        saltLength: rsa.RSA_PSS_SALTLEN_DIGEST,
      })
    default:
      return signRaw(alg === "ES256" ? "sha256" : "sha384", data, {
        key,
        dsaEncoding: "ieee-p1363",
      })
  }
}

export const createKey = (alg: Algorithm = "EdDSA", kid: string = randomUUID()) => {
  const { publicKey, privateKey } = generators[alg]()
  return {
    kid,
    publicKey,
    jwk: { ...publicKey.export({ format: "jwk" }), kid, alg, use: "sig" } as Json,
    sign(claims: Json, header: Json = {}) {
      const input = `${base64url({ alg, kid, ...header })}.${base64url(claims)}`
      return `${input}.${signature(alg, input, privateKey).toString("base64url")}`
    },
  }
}
export type Key = ReturnType<typeof createKey>

export const startIssuer = (...keys: Key[]) => {
  let answer: Answer = () => Response.json({ keys: keys.map(({ jwk }) => jwk) })
  let fetches = 0
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch(request) {
      fetches++
      return answer(request)
    },
  })
  const url = `http://127.0.0.1:${server.port}`
  return {
    url,
    settings: { JWT_ISSUER: url, JWKS_URL: `${url}/jwks` },
    get fetches() {
      return fetches
    },
    publish(...published: Key[]) {
      answer = () => Response.json({ keys: published.map(({ jwk }) => jwk) })
    },
    misbehave(how: Answer) {
      answer = how
    },
    /** The claims of a token for a subject, valid for an hour. */
    claims(sub: unknown, more: Json = {}): Json {
      const now = Math.floor(Date.now() / 1000)
      return { iss: url, sub, aud: url, iat: now, exp: now + 3600, ...more }
    },
    async [Symbol.asyncDispose]() {
      await server.stop(true)
    },
  }
}
