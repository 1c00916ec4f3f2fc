/** The README's tour, word for word: a script that can be pasted, with the answers as comments. */
import { expect, test } from "bun:test"
import { join } from "node:path"
import { startApp } from "../support/app.ts"

const readme = await Bun.file(join(import.meta.dir, "../../README.md")).text()

/** What differs from one run to the next. */
const comparable = (text: string) =>
  text
    .replaceAll(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/g, "<time>")
    .replaceAll(/("next":"|"state":"|^id: )[^"\n]+/gm, "$1<state>")
    .trim()

const tour = readme.slice(readme.indexOf("## A tour"), readme.indexOf("## From a front end"))
/** Each command, and what the comment below it says that it prints. */
const steps = [...tour.matchAll(/```sh\n(.*?)```/gs)]
  .flatMap(([, script = ""]) => script.trim().split(/\n\n+/))
  .map((step) => {
    const lines = step.split("\n")
    const answers = lines.filter((line) => line.startsWith("# "))
    return {
      command: lines.filter((line) => !line.startsWith("# ")).join("\n"),
      output: comparable(answers.map((line) => line.slice(2)).join("\n")),
    }
  })

/** What ends by its time is asked for longer where a busy machine has said nothing until then. */
const PATIENCE = `
curl() {
  local said seconds=1
  [[ $* == *--max-time* ]] || { command curl "$@"; return; }
  until said=$(command curl "$@" --max-time $seconds); [ "$said" ]; do seconds=$((seconds * 2)); done
  printf '%s' "$said"
}`

// The tour is for people who have curl; not every machine with Node does.
test.skipIf(!Bun.which("curl"))(
  "each command of the README's tour answers what the README says",
  async () => {
    await using app = await startApp()
    expect(steps.length).toBeGreaterThan(12)
    const script = [PATIENCE, ...steps.map(({ command }) => `${command}\nprintf '\\n\\036'`)].join(
      "\n",
    )
    const shell = Bun.spawn(["bash", "-c", script.replaceAll("http://127.0.0.1:8000", app.url)], {
      stdout: "pipe",
    })
    const outputs = (await new Response(shell.stdout).text()).split("\u001e").map(comparable)
    for (const [index, { command, output }] of steps.entries())
      expect(`${command}\n${outputs[index]}`).toBe(`${command}\n${output}`)
  },
)

test("the tour's token is the access token, whichever letters the signature of the other one has", () => {
  const filter = /^token=.*\| (.*)\)$/m.exec(tour)?.[1]
  const answer = { access_token: "eyJh.eyJz.c2ln", token_type: "bearer", refresh_token: "1.aeyJb" }
  const shell = Bun.spawnSync(["sh", "-c", `${filter}`], {
    stdin: Buffer.from(JSON.stringify(answer)),
  })
  expect(shell.stdout.toString().trim()).toBe(answer.access_token)
})

test("the tour can be pasted where curl is old: without --json and without prompts", () => {
  expect(tour).not.toMatch(/--json|^\$ /m)
})

test("the README is short", () => {
  expect(readme.split(/\s+/).length).toBeLessThanOrEqual(1_200)
  expect(readme.split("\n").length).toBeLessThanOrEqual(200)
})
