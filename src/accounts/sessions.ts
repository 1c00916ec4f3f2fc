/** Sessions: a login opens one, and its refresh token keeps it alive. */
import { createHash, randomBytes, randomUUID } from "node:crypto"
import type { Config } from "../config.ts"
import type { Sql } from "../database/connection.ts"
import { insertSession } from "./queries.ts"
import type { Tokens } from "./tokens.ts"

const sha256 = (token: string) => createHash("sha256").update(token).digest()

export const openSession = async (sql: Sql, config: Config, tokens: Tokens, userId: number) => {
  const id = randomUUID()
  const refreshToken = randomBytes(32).toString("base64url")
  await insertSession(sql, {
    id,
    userId,
    refreshTokenHash: sha256(refreshToken),
    days: config.REFRESH_TOKEN_EXPIRE_DAYS,
  })
  return {
    access_token: await tokens.issue(userId, `${id}.${randomUUID()}`),
    token_type: "bearer" as const,
    expires_in: tokens.expiresIn,
    refresh_token: refreshToken,
  }
}
