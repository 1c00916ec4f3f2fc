/** All SQL by which an export reads what accounts hold of a user. Nothing that lets anybody in. */
import type { Sql } from "../../database/connection.ts"
import type { Identity, KnownAddress, Session } from "./model.ts"

export const listIdentities = (sql: Sql, userId: number) => sql<Identity[]>`
  select issuer, subject
  from identities
  where user_id = ${userId}`

/** The next ones after a session, in the order of their ids. */
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

/** The next ones after an address, in the order of their hashes. */
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
