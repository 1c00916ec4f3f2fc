/** The README's tours, word for word. */
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

const tours = ["## A tour", "## Offline and live"]

const commandsOf = (heading: string) => {
  const section = readme.slice(readme.indexOf(heading))
  const console = section.match(/```console\n(.*?)```/s)?.[1] ?? ""
  return [...console.matchAll(/^\$ (.*)\n((?:(?!\$ ).*\n)*)/gm)].map(
    ([, command = "", output = ""]) => ({ command, output: comparable(output) }),
  )
}
const tour = tours.flatMap(commandsOf)

// The tour is for people who have curl; not every machine with Node does.
test.skipIf(!Bun.which("curl"))(
  "each command of the README's tours answers what the README says",
  async () => {
    await using app = await startApp()
    expect(tour.length).toBeGreaterThan(12)
    const script = tour.map(({ command }) => `${command}\nprintf '\\n\\036'`).join("\n")
    const shell = Bun.spawn(["bash", "-c", script.replaceAll("http://127.0.0.1:8000", app.url)], {
      stdout: "pipe",
    })
    const outputs = (await new Response(shell.stdout).text()).split("\u001e").map(comparable)
    for (const [index, { command, output }] of tour.entries())
      expect(`${command}\n${outputs[index]}`).toBe(`${command}\n${output}`)
  },
)
