/** /users/me/sessions: where the caller is logged in. Shapes: model.ts. SQL: queries.ts. */

import { Elysia, t } from "elysia"
import { clientAddress } from "../../http/client-address.ts"
import { bearer, signedIn } from "../../http/guard.ts"
import { noStore } from "../../http/response/no-store.ts"
import { noSuchSession } from "../problems.ts"
import { endOwnSession } from "./ending/queries.ts"
import type { SessionDeps } from "./issue.ts"
import * as model from "./model.ts"
import { listSessions } from "./queries.ts"

type Deps = SessionDeps & { trustedProxies: string[] }

export const ownSessions = ({ sql, tokens, lifetimes, logEvent, trustedProxies }: Deps) =>
  new Elysia({
    prefix: "/users/me/sessions",
    detail: { tags: ["accounts"], security: bearer },
  })
    .onTransform(noStore)
    .use(signedIn(tokens.authenticate))
    .use(clientAddress(trustedProxies))
    .get(
      "",
      async ({ caller }) =>
        (await listSessions(sql, caller.userId, lifetimes)).map((session) => ({
          ...session,
          is_current: session.id === caller.sessionId,
        })),
      {
        response: { 200: model.sessions },
        detail: {
          operationId: "listSessions",
          summary: "List the caller's sessions",
          description: "The caller's sessions, the last used ones first, at most 1,000.",
        },
      },
    )
    .delete(
      "/:id",
      async ({ caller, params, address, status }) => {
        const key = model.isSessionId(params.id)
          ? await endOwnSession(sql, caller.userId, params.id)
          : undefined
        if (key === undefined) throw noSuchSession()
        tokens.revoke([key])
        logEvent("session_ended", { userId: caller.userId, address })
        return status(204, undefined)
      },
      {
        params: model.sessionParams,
        response: { 204: t.Undefined() },
        detail: {
          operationId: "endSession",
          summary: "End a session",
          description: "Ends one of the caller's sessions: its refresh token and access tokens.",
        },
      },
    )
