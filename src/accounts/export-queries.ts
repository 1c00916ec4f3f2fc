/** The SQL that exports what accounts store about a user: never anything that could be used to log in. */
import type { Sql } from "../database/connect.ts"
import type { Identity, KnownAddress, Session } from "./export-model.ts"

export const listIdentities = (sql: Sql, userId: number) => sql<Identity[]>`
  select issuer, subject
  from identities
  where user_id = ${userId}`

/** The sessions that follow `after`, ordered by id. */
export const readSessions = (
  sql: Sql,
  userId: number,
  limit: number,
  after: Session | undefined,
) => sql<Session[]>`
  select id, created_at, last_used_at, expires_at, user_agent, address
  from sessions
  where user_id = ${userId}
    ${after ? sql`and id > ${after.id}::uuid` : sql``}
  order by id
  limit ${limit}`

/** The addresses that follow `after`, ordered by hash. */
export const readKnownAddresses = (
  sql: Sql,
  userId: number,
  limit: number,
  after: KnownAddress | undefined,
) => sql<KnownAddress[]>`
  select encode(address_hash, 'hex') as address_hash, expires_at
  from known_addresses
  where user_id = ${userId}
    ${after ? sql`and address_hash > decode(${after.address_hash}, 'hex')` : sql``}
  order by known_addresses.address_hash
  limit ${limit}`
