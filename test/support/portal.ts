/** Answers in place of the service's, as proxies, firewalls and captive portals give them. */

type Problem = { error_code: string; status: number; detail: string }

/** As the service itself answers. */
export const problem = (body: Problem, headers: Record<string, string> = {}) =>
  new Response(JSON.stringify(body), {
    status: body.status,
    headers: { "content-type": "application/problem+json", ...headers },
  })
