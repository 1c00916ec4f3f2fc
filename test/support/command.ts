/** The command as a process of its own: its exit code, and what it prints. */
import { join } from "node:path"
import { SECRET_KEY } from "./app.ts"
import { createClient } from "./client.ts"

const main = join(import.meta.dir, "..", "..", "src", "main.ts")

type Env = Record<string, string>

/** With no environment but what is given: no .env file, no variables of the developer's. */
export const spawnCommand = (args: string[], env: Env) =>
  Bun.spawn([process.execPath, "--no-env-file", main, ...args], {
    cwd: "/",
    env: { PATH: process.env["PATH"] ?? "", ...env },
    stdio: ["ignore", "pipe", "pipe"],
  })

export const runCommand = async (args: string[], env: Env = {}) => {
  const command = spawnCommand(args, env)
  const [out, err] = await Promise.all([command.stdout.text(), command.stderr.text()])
  return { code: await command.exited, out, err }
}

/** `serve`, once it listens. The port is a free one. */
export const startCommand = async (env: Env, ...args: string[]) => {
  const command = spawnCommand(["serve", ...args], { SECRET_KEY, PORT: "0", ...env })
  let log = ""
  const logged = (async () => {
    const decoder = new TextDecoder()
    for await (const bytes of command.stdout) log += decoder.decode(bytes, { stream: true })
  })()
  const url = () => /listens on (http\S+),/.exec(log)?.[1]
  while (url() === undefined && command.exitCode === null) await Bun.sleep(10)
  const found = url()
  if (found === undefined) throw new Error(`${await command.stderr.text()}\n${log}`)
  return {
    ...createClient(found),
    url: found,
    pid: command.pid,
    kill: (signal: NodeJS.Signals) => command.kill(signal),
    exited: command.exited,
    /** Everything that it has logged, when it has ended. */
    log: async () => {
      await logged
      return log
    },
    async [Symbol.asyncDispose]() {
      command.kill("SIGKILL")
      await command.exited
    },
  }
}

export type Command = Awaited<ReturnType<typeof startCommand>>
