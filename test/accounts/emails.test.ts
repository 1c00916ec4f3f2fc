/** By which rule emails are compared, and what they may hold. */

import { expect, test } from "bun:test"
import { createTransport } from "nodemailer"
import { startApp } from "../support/app.ts"

const password = "correct horse"

test("emails that differ only in a final sigma, or by case, are one", async () => {
  await using app = await startApp()
  const register = (email: string) =>
    app.call("POST", "/api/v1/auth/register", { body: { email, password } })
  expect((await register("οδος@example.org")).status).toBe(201)
  for (const email of ["οδοσ@example.org", "ΟΔΟΣ@example.org"]) {
    const answer = await register(email)
    expect(answer.status).toBe(409)
    expect(answer.body).toMatchObject({ error_code: "EMAIL_TAKEN" })
    expect((await app.logIn({ email, password })).status).toBe(200)
  }
})

test("an email holds no character that is not seen", async () => {
  await using app = await startApp()
  for (const hidden of [
    "\u0007",
    "\u007f",
    "\u00ad",
    "\u200b",
    "\u200d",
    "\u202e",
    "\u2066",
    "\u2060",
    "\ufe0f",
    "\u{e0041}",
  ])
    for (const email of [`a${hidden}da@example.org`, `ada@exam${hidden}ple.org`]) {
      const answer = await app.call("POST", "/api/v1/auth/register", { body: { email, password } })
      expect(answer.status).toBe(400)
      expect(answer.body).toMatchObject({ errors: [{ pointer: "/email" }] })
    }
})

test("an email is what every mail program reads as one mailbox, and as that one", async () => {
  await using app = await startApp()
  const statusOf = async (email: string) =>
    (await app.call("POST", "/api/v1/auth/register", { body: { email, password } })).status
  const transport = createTransport({ jsonTransport: true })
  for (const [email, recipient] of [
    ["!#$%&'*+/=?^_`{|}~-@example.org"],
    ["o.neil+todo@a-b.example.org"],
    ["ada@localhost"],
    ["zoë.ünal@example.org"],
    ["हिन्दी@example.org"],
    ["ada@bücher.example", "ada@xn--bcher-kva.example"],
    ["ada@straße.example", "ada@xn--strae-oqa.example"],
    ["ada@xn--jgeva-dua.example"],
    ["ada@192.0.2.1"],
    // Of these none is the name of a host.
    ["ada@a.123"],
    ["ada@xn--a.example"],
  ] as const) {
    expect(await statusOf(email), email).toBe(201)
    const sent = await transport.sendMail({ from: "a@b", to: { name: "", address: email } })
    expect(sent.envelope.to).toEqual([recipient ?? email])
  }
  for (const email of [
    ...["x<victim@example.org>", "a,victim@example.org", "g:victim@example.org;"],
    ...[
      "(c)victim@example.org",
      "victim@example.org,b",
      '"victim@example.org',
      "victim@example.org.",
    ],
    ...[
      '"a b"@example.org',
      "a\\b@example.org",
      "a b@example.org",
      "a@b@example.org",
      "a@[192.0.2.1]",
    ],
    ...[".a@example.org", "a.@example.org", "a..b@example.org", "a@.org", "a@b..org", "a@b_c.org"],
    ...["🦉@example.org", "a@🦉.org", "a@b!.org", "a@example。org"],
    // Each of these domains is mapped to another, and the mark to the letter before it.
    ...[
      "a@ｅxample.org",
      "a@ﬁ.example",
      "a@2130706433",
      "a@1.2.3",
      "a@0x7f.1",
      "e\u0301@example.org",
    ],
  ])
    expect(await statusOf(email), email).toBe(400)
})
