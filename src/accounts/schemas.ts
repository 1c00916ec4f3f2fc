/** The shapes of accounts and tokens, as clients send and get them. */
import { domainToASCII, domainToUnicode } from "node:url"
import { Type } from "@sinclair/typebox"
import { type Static, t } from "elysia"
import { brokenTextRule, id, instant, nullable, shape, Text } from "../http/schema.ts"

/**
 * What a dot-atom (RFC 5322, section 3.2.3) and a label are made of, and anything beyond ASCII: as what
 * they must not hold, because that is shorter and means the same to every engine.
 */
const atom = '[^\\x00-\\x20"(),.:;<>@\\[\\\\\\]\\x7f]+'
const label = "[^\\x00-\\x2c\\x2e\\x2f\\x3a-\\x40\\x5b-\\x60\\x7b-\\x7f]+"

/** Marks belong to the letters before them. `\p{DI}`: what is not shown, some letters among it. */
const FORBIDDEN = /[^\p{ASCII}\p{L}\p{M}\p{N}]|\p{DI}/u

/**
 * Whether mail programs read an address as it is written. They compose characters, and map domains: without
 * this, whoever registers `ada@ｅxample.org` has their mail sent to `ada@example.org`.
 */
const isUnambiguous = (text: string) => {
  const domain = text.slice(text.lastIndexOf("@") + 1).toLowerCase()
  const ascii = domainToASCII(domain)
  // Empty if it is the name of no host: that they leave as it is.
  const isKept = ascii === "" ? /^\p{ASCII}*$/u.test(domain) : ascii === domain
  return text.normalize("NFC") === text && (isKept || domainToUnicode(ascii) === domain)
}

/** The user of the README's tour and of all examples. */
export const ada = { email: "ada@example.org", password: "correct horse battery staple" }

export const email = Text({
  description:
    "Trimmed, and compared ignoring case. Beyond ASCII only letters and digits, and only as mail " +
    "programs would write them",
  examples: [ada.email],
  minLength: 3,
  maxLength: 254,
  pattern: `^${atom}(\\.${atom})*@${label}(\\.${label})*$`,
  isAllowed: (text) => !FORBIDDEN.test(text) && isUnambiguous(text),
  patternMessage: "must be an email address",
  trimmed: true,
})

/** Whether somebody may have registered it: for what else there needs no statement. */
export const isEmail = (text: string) => brokenTextRule(email as never, text) === undefined

export const password = Text({ format: "password", minLength: 8, maxLength: 256 })

export const registration = shape(
  "Registration",
  {
    email,
    password,
    invite: t.Optional(
      Text({
        description:
          "A token from the operator, where registration is by invite. Can be used once.",
      }),
    ),
  },
  { examples: [ada] },
)
export type Registration = Static<typeof registration>

/** Looser than a registration: an email that nobody could have registered is simply wrong. */
export const credentials = shape(
  "Credentials",
  { email: Text(), password: Text({ format: "password" }) },
  { examples: [ada] },
)
export type Credentials = Static<typeof credentials>

/** Only the form is real. */
const exampleTokens = {
  access_token: [
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9",
    "eyJzdWIiOiI0NTAzNTk5NjI3MzcwNDk2IiwiaWF0IjoxNzk1MzY1NjAzLCJleHAiOjE3OTUzNjc0MDN9",
    "NFiF-o732BA4ACjuc_P4VeVhNfKn_bcmO7W9pD1wSpY",
  ].join("."),
  token_type: "bearer",
  expires_in: 1800,
  refresh_token:
    "5f03f1bd-5057-47e3-9f82-4f146f287d58.1.fQ2oLqPz0hJYh1o5Jr3pY6c3iXbV7mTnD8sKwEuA9gk",
}

export const refreshToken = shape(
  "RefreshToken",
  { refresh_token: Text({ description: "The refresh token of the last response" }) },
  { examples: [{ refresh_token: exampleTokens.refresh_token }] },
)

/** As we write ids. Checked before the database would refuse the text: another one is the id of nothing, a 404. */
export const isUuid = (text: string) => /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(text)

export const uuidParams = (description: string) =>
  t.Object({ id: t.String({ description, encodes: { type: "string", format: "uuid" } }) })

export const user = shape(
  "User",
  {
    id,
    email: nullable(t.String(), { description: "Null for users of an outside issuer" }),
    created_at: instant(),
  },
  {
    description: "A user's account",
    examples: [{ id: 4503599627370496, email: ada.email, created_at: "2026-11-22T16:40:03.123Z" }],
  },
)
export type User = Static<typeof user>

export const tokens = shape(
  "Tokens",
  {
    access_token: t.String({ description: "A JWT for the Authorization header" }),
    token_type: t.Literal("bearer"),
    expires_in: Type.Integer({ description: "Seconds until the access token expires" }),
    refresh_token: t.String({ description: "Opaque and single-use" }),
  },
  { description: "The tokens of a session", examples: [exampleTokens] },
)
