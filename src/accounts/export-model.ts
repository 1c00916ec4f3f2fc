/** The shape of an export: everything that is stored about a user. */
import type { TSchema } from "@sinclair/typebox"
import { type Static, t } from "elysia"
import type { StreamedList } from "../http/json-stream.ts"
import { user } from "./schemas.ts"

const instant = t.String({ format: "date-time" })

export const identity = t.Object(
  { issuer: t.String(), subject: t.String() },
  {
    $id: "Identity",
    description: "The user's identity at an outside issuer",
    additionalProperties: false,
  },
)
export type Identity = Static<typeof identity>

const nullableText = t.Union([t.String(), t.Null()])

export const session = t.Object(
  {
    id: t.String({ format: "uuid" }),
    created_at: instant,
    last_used_at: instant,
    expires_at: instant,
    user_agent: nullableText,
    address: nullableText,
  },
  {
    $id: "ExportedSession",
    description: "A session: a login and its refreshes",
    additionalProperties: false,
  },
)
export type Session = Static<typeof session>

export const knownAddress = t.Object(
  {
    address_hash: t.String({ description: "SHA-256, in hexadecimal" }),
    expires_at: instant,
  },
  {
    $id: "KnownAddress",
    description: "An address from which the user logged in lately",
    additionalProperties: false,
  },
)
export type KnownAddress = Static<typeof knownAddress>

export const exported = (lists: Record<string, StreamedList>) =>
  t.Object(
    {
      exported_at: t.String({ format: "date-time", description: "When the export began" }),
      user,
      ...Object.fromEntries(
        Object.entries(lists).map(([name, { items }]): [string, TSchema] => [name, t.Array(items)]),
      ),
    },
    {
      $id: "Export",
      description: "All that is stored about the caller",
      additionalProperties: false,
    },
  )
