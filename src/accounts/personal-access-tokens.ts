/** /users/me/tokens: personal access tokens, for scripts. */
import { type Static, t } from "elysia"
import type { Sql, Statements } from "../database/sql.ts"
import { authenticated, SCOPES } from "../http/guard.ts"
import { jsonBody } from "../http/json-body.ts"
import { badRequest, Problem } from "../http/problem.ts"
import { instant, NullableText, nullable, shape, Text } from "../http/schema.ts"
import type { Accounts } from "./context.ts"
import { deletedUser } from "./problems.ts"
import { insertRevocations } from "./revocation-keys.ts"
import { isUuid, uuidParams } from "./schemas.ts"
import { newPersonalToken } from "./tokens/personal-access-token.ts"
import { createFederatedUser } from "./users.ts"

const TOKENS_PER_USER = 50

export const personalAccessTokens = ({ sql, tokens, logEvent, clientOf }: Accounts) =>
  authenticated({ tokens, clientOf }, "/users/me/tokens")
    .post(
      "",
      async ({ caller: { userId }, body, client, status }) => {
        const created = await create(sql, userId, body)
        logEvent("personal_token_made", { userId, address: client.address })
        return status(201, created)
      },
      {
        ...jsonBody(personalTokenBody),
        response: { 201: createdPersonalToken },
        detail: {
          operationId: "createPersonalToken",
          summary: "Create a personal access token",
          errors: ["QUOTA_EXCEEDED"],
          description:
            "A bearer token for scripts. It works only for /todos, within its scopes, and is shown " +
            `only in this response. A user has at most ${TOKENS_PER_USER}.`,
        },
      },
    )
    .get(
      "",
      async ({ caller }) => {
        // Whoever used a token a moment ago is to see that here.
        await tokens.lastUses.flush(["personal_tokens"])
        return listPersonalTokens(sql, caller.userId)
      },
      {
        response: { 200: t.Array(personalToken) },
        detail: {
          operationId: "listPersonalTokens",
          summary: "List the caller's personal access tokens",
          description: "The tokens that have not expired, the oldest first.",
        },
      },
    )
    .delete(
      "/:id",
      async ({ caller: { userId }, params, client, status }) => {
        if (!isUuid(params.id)) throw noSuchToken()
        const revoked = await deletePersonalTokens(sql, userId, params.id)
        if (revoked.length === 0) throw noSuchToken()
        tokens.revoke(revoked.map(({ key }) => key))
        logEvent("personal_token_revoked", { userId, address: client.address })
        return status(204, undefined)
      },
      {
        params: uuidParams("The id of a personal access token"),
        response: { 204: t.Undefined() },
        detail: {
          operationId: "deletePersonalToken",
          summary: "Revoke a personal access token",
          description: "This instance refuses the token at once, all others within 5 seconds.",
        },
      },
    )

const noSuchToken = () => new Problem("NOT_FOUND", "There is no such personal access token")

/** In the form that Postgres reads. */
const readExpiry = (text: string | null | undefined) => {
  if (!text) return null
  const wrong = (message: string) => badRequest([{ pointer: "/expires_at", message }])
  let time: number
  try {
    // Unlike `Date`, it does not take 30 February for 2 March.
    time = Temporal.Instant.from(text).epochMilliseconds
  } catch {
    throw wrong("must be a time that exists")
  }
  if (time <= Date.now()) throw wrong("must be in the future")
  // Its time zone may move a time to the year 10000, which RFC 3339 cannot write.
  if (time >= Date.UTC(10_000)) throw wrong("must be before the year 10000")
  return new Date(time).toISOString()
}

const create = async (sql: Sql, userId: number, wanted: NewPersonalToken) => {
  const { name, scopes } = wanted
  const expires_at = readExpiry(wanted.expires_at)
  await createFederatedUser(sql, userId)
  const { token, hash } = newPersonalToken()
  const created = await sql.begin(async (transaction) => {
    // Of concurrent creates one waits for the other, and then counts what that one committed.
    const [user] = await transaction`select id from users where id = ${userId} for no key update`
    // Deleted at this very moment.
    if (!user) throw deletedUser()
    const [row] = await transaction<PersonalToken[]>`
      insert into personal_tokens (user_id, name, scopes, expires_at, hash)
      select ${userId}::bigint, ${name}, ${`{${scopes.join()}}`}::text[],
        ${expires_at}::timestamptz, ${hash}::bytea
      where (select count(*) ${ofUser(transaction, userId)}) < ${TOKENS_PER_USER}
      returning ${columns(transaction)}`
    return row
  })
  if (created) return { ...created, token }
  throw new Problem(
    "QUOTA_EXCEEDED",
    `A user has at most ${TOKENS_PER_USER} personal access tokens`,
  )
}

/** What clients see of a token. */
const columns = (sql: Statements) => sql`
  id, name, to_json(scopes) as scopes, created_at, expires_at, last_used_at`

const ofUser = (sql: Statements, userId: number) => sql`
  from personal_tokens
  where user_id = ${userId}
    and coalesce(expires_at > now(), true)`

export const listPersonalTokens = async (sql: Sql, userId: number) => {
  const rows = await sql<PersonalToken[]>`
    select ${columns(sql)} ${ofUser(sql, userId)}
    order by created_at, id`
  // With the driver's subclass of Array, Elysia would lose the headers of the response.
  return [...rows]
}

/**
 * Deletes all of a user's tokens, or one of them. Returns the keys to revoke. Other instances need them only to forget
 * verifications that they remember: a token without a row is refused anyway.
 */
export const deletePersonalTokens = (sql: Statements, userId: number, id?: string) => sql<
  { key: string }[]
>`
  with ended as (
    delete from personal_tokens
    where user_id = ${userId}
      ${id === undefined ? sql`` : sql`and id = ${id}::uuid`}
    returning id
  )
  ${insertRevocations(sql, sql`select 'token:' || id, now() + interval '1 hour' from ended`)}
  returning key`

const name = Text({
  description: "For people: what uses the token",
  examples: ["backup script"],
  minLength: 1,
  maxLength: 100,
  pattern: "[^\\s\\x85]",
  patternMessage: "must not be only white space",
})

const [read, write] = SCOPES
const scope = t.Union([t.Literal(read), t.Literal(write)], {
  $id: "Scope",
  description: "`todos:read` allows reading todos, `todos:write` allows changing and reading them",
})
const scopes = t.Array(scope, {
  description: "What the token allows",
  minItems: 1,
  maxItems: SCOPES.length,
  uniqueItems: true,
})

/** RFC 3339, section 5.6. `readExpiry` checks that such a time exists and is in the future. */
const expiresAt = NullableText({
  description: "In the future. Without it, or with null, the token does not expire",
  examples: ["2099-12-31T23:59:59Z"],
  pattern: "^\\d{4}-\\d\\d-\\d\\d[Tt]\\d\\d:\\d\\d:\\d\\d(\\.\\d{1,9})?([Zz]|[+-]\\d\\d:\\d\\d)$",
  patternMessage: "must be a time as in RFC 3339, such as 2099-12-31T23:59:59Z",
})

const personalTokenBody = shape(
  "NewPersonalToken",
  { name, scopes, expires_at: t.Optional(expiresAt) },
  { examples: [{ name: "backup script", scopes: ["todos:read"] }] },
)
type NewPersonalToken = Static<typeof personalTokenBody>

const members = {
  id: t.String({ format: "uuid" }),
  name,
  scopes,
  created_at: instant({ description: "When it was created" }),
  expires_at: nullable(instant(), { description: "When it expires. Null if never" }),
  last_used_at: nullable(instant(), {
    description: "When it was last used, to the minute. Null if never",
  }),
}

export const personalToken = shape("PersonalToken", members, {
  description: "A personal access token, without the token itself",
})
type PersonalToken = Static<typeof personalToken>

const createdPersonalToken = shape(
  "CreatedPersonalToken",
  {
    ...members,
    token: t.String({
      description: "For the Authorization header. It is shown only once.",
      examples: ["todo_7HxgMLz_z4B0VW50ZcHlsnGeOBMTQRJbfwPPKPEC-FI"],
    }),
  },
  { description: "A new personal access token" },
)
