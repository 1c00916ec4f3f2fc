/** POST /auth/register: for anybody, for the invited, or for nobody. Invites. */
import type { Sql } from "../database/sql.ts"
import type { Client } from "../http/client-address.ts"
import { anonymous } from "../http/guard.ts"
import { jsonBody } from "../http/json-body.ts"
import type { Accounts } from "./context.ts"
import { hashPassword, refuseGuessable } from "./passwords.ts"
import { registrationClosed } from "./problems.ts"
import { hashOf, isToken, newToken, type OneTimeToken } from "./random-token.ts"
import { type Registration, registration as registrationBody, user } from "./schemas.ts"
import { folded, insertUser } from "./users.ts"

export const registration = (accounts: Accounts) =>
  anonymous(accounts, "/auth").post(
    "/register",
    async ({ body, client, status }) =>
      status(201, await register(accounts, { ...body, email: body.email.trim() }, client)),
    {
      ...jsonBody(registrationBody),
      response: { 201: user },
      detail: {
        operationId: "register",
        summary: "Register an account",
        errors: ["EMAIL_TAKEN", "REGISTRATION_CLOSED"],
        description:
          "The number of registrations from one address in an hour is limited. The operator may " +
          "have restricted registration to invited users, or closed it.",
      },
    },
  )

const register = async (
  accounts: Accounts,
  { email, password, invite = "" }: Registration,
  client: Client,
) => {
  const { sql, limits, registrationMode } = accounts
  if (registrationMode === "closed") throw registrationClosed()
  refuseGuessable("/password", password, email)
  await limits.countRegistration(client.address)
  const isOpen = registrationMode === "open"
  const isForThem = sql`
    hash = ${hashOf(invite)}
      and expires_at > now()
      and (email is null or ${folded(sql, sql`email`)} = ${folded(sql, email)})`
  // Looked at first, because hashing a password is expensive.
  if (
    !isOpen &&
    !(isToken(invite) && (await sql.pipelined`select from invites where ${isForThem}`).count > 0)
  )
    throw registrationClosed()
  const passwordHash = await hashPassword(accounts, password, client)
  if (isOpen) return insertUser(sql, email, passwordHash)
  // In one transaction: an email that somebody has uses up no invite, and an invite makes one account.
  return sql.begin(async (transaction) => {
    // Waits for another registration that uses it.
    const { count } = await transaction`delete from invites where ${isForThem}`
    if (count === 0) throw registrationClosed()
    return insertUser(transaction, email, passwordHash)
  })
}

const DAYS = 7

/** An invite without an email is for anybody who has it. */
export const createInvite = async (sql: Sql, email: string | null): Promise<OneTimeToken> => {
  const { token, hash } = newToken()
  const [row] = await sql<[{ expires_at: string }]>`
    insert into invites (hash, email, expires_at)
    values (${hash}, ${email}, now() + make_interval(days => ${DAYS}))
    returning expires_at`
  return { token, expires_at: row.expires_at }
}
