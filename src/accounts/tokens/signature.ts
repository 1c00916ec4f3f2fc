/** Signs access tokens by the current secret, and verifies them by that and the previous ones. */
import { jwt } from "@elysiajs/jwt"
import type { JWTVerifyOptions } from "jose"
import type { Config } from "../../config/config.ts"
import type { Secrets } from "../../keys/mac.ts"

export const createSignature = ([current, ...previous]: Secrets, alg: Config["ALGORITHM"]) => {
  const by = (secret: string) => jwt({ name: "jwt", secret, alg }).decorator.jwt
  const { sign, verify } = by(current)
  const verifiers = [verify, ...previous.map((secret) => by(secret).verify)]
  return {
    sign,
    /** The claims if the signature is good by one of the secrets, or false. */
    async verify(token: string, options: JWTVerifyOptions) {
      for (const verifyOne of verifiers) {
        const claims = await verifyOne(token, { ...options, algorithms: [alg] })
        if (claims) return claims
      }
      return false as const
    },
  }
}
export type Signature = ReturnType<typeof createSignature>
