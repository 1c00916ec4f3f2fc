/** The command as a process of its own: its exit code, and what it prints. */
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { createClient } from "./client.ts"
import { SECRET_KEY } from "./tokens.ts"

const root = join(import.meta.dir, "..", "..")
const source = join(root, "src", "main.ts")
const { TEST_BINARY } = process.env
/** An executable to test in place of the source: `bun run test:binary` sets it. */
export const binary = TEST_BINARY === undefined ? undefined : resolve(TEST_BINARY)

export const program = binary ? [binary] : [process.execPath, "--no-env-file", source]

/** Bun then transpiles nothing twice: a start from source takes a quarter less. */
const transpiled = {
  BUN_RUNTIME_TRANSPILER_CACHE_PATH: join(root, "node_modules", ".cache", "transpiled"),
}

type Env = Record<string, string>
type Place = {
  cwd?: string
  /** What executes the command, such as `unshare --net`. */
  wrapper?: string[]
  /** Another copy of the executable. */
  executable?: string
}

/**
 * With no environment but what is given: no .env file, no variables of the developer's. The port is
 * a free one.
 */
export const spawnCommand = (
  args: string[],
  env: Env,
  { cwd = tmpdir(), wrapper = [], executable }: Place = {},
) =>
  Bun.spawn([...wrapper, ...(executable ? [executable] : program), ...args], {
    cwd,
    env: { PATH: process.env["PATH"] ?? "", PORT: "0", ...(binary ? {} : transpiled), ...env },
    stdio: ["ignore", "pipe", "pipe"],
  })

export const runCommand = async (args: string[], env: Env = {}, place?: Place) => {
  const command = spawnCommand(args, env, place)
  const [out, err] = await Promise.all([command.stdout.text(), command.stderr.text()])
  return { code: await command.exited, out, err }
}

/** `serve`, once it listens. */
export const startCommand = async (
  env: Env,
  { args = [], ...place }: Place & { args?: string[] } = {},
) => {
  const command = spawnCommand(["serve", ...args], { SECRET_KEY, ...env }, place)
  let log = ""
  const logged = (async () => {
    const decoder = new TextDecoder()
    for await (const bytes of command.stdout) log += decoder.decode(bytes, { stream: true })
  })()
  const url = () => /listens on (http\S+),/.exec(log)?.[1]
  while (url() === undefined && command.exitCode === null) await Bun.sleep(5)
  const found = url()
  if (found === undefined) throw new Error(`${await command.stderr.text()}\n${log}`)
  return {
    ...createClient(found),
    url: found,
    metricsUrl: /"metrics":"([^"]+)"/.exec(log)?.[1],
    pid: command.pid,
    kill: (signal: NodeJS.Signals) => command.kill(signal),
    exited: command.exited,
    /** Resolves to the exit code. */
    async stop() {
      command.kill("SIGTERM")
      return command.exited
    },
    /** Resolves to the moment at which it was logged. */
    untilLogged: async (text: string): Promise<number> => {
      const found = () =>
        log
          .split("\n")
          .slice(0, -1)
          .find((line) => line.includes(text))
      while (found() === undefined && command.exitCode === null) await Bun.sleep(5)
      return Number(JSON.parse(found() ?? "{}").time)
    },
    /** What went wrong so far, as it was logged. */
    warnings: () => log.split("\n").filter((line) => /^\{"level":"(warn|error|fatal)",/.test(line)),
    /** Everything that it has logged, when it has ended. */
    log: async () => {
      await logged
      return log
    },
    /** The same, as what each line says. */
    async lines() {
      await logged
      return log
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line) as Record<string, unknown>)
    },
    async [Symbol.asyncDispose]() {
      command.kill("SIGKILL")
      await command.exited
    },
  }
}

export type Command = Awaited<ReturnType<typeof startCommand>>
