/** Runs the command that the command line names. Only this file reads argv and env, and exits. */
import { readFileSync } from "node:fs"
import { parseEnv } from "node:util"
import {
  type Command,
  describeCommands,
  describeOptions,
  everyOption,
  parseOptions,
  print,
  UsageError,
} from "./commands/command.ts"
import { commands } from "./commands/table.ts"
import { ConfigError } from "./config/config.ts"
import { version } from "./version.ts"

const EXIT_CODES = `
Exit codes: 0 ended as asked, 64 wrong command line, 69 the database did not come,
78 wrong configuration, 1 anything else. Configuration: environment variables, see README.md.
`

/** sysexits.h */
const EXIT = { usage: 64, unavailable: 69, config: 78, failure: 1 }

const all = Object.entries(commands)

const generalHelp = () =>
  `todo-api: a multi-user todo REST API

Usage:
${describeCommands(all)}  todo-api --help | --version
  todo-api COMMAND --help

Options of all commands:
${describeOptions(everyOption)}${EXIT_CODES}`

const helpOf = (name: string, { usage = "", about, options = {} }: Command) =>
  `todo-api ${name}: ${about}

Usage:
  todo-api ${name} ${usage}`.trimEnd() +
  `

Options:
${describeOptions({ ...options, ...everyOption })}${EXIT_CODES}`

/** The commands of a group, such as `user list` and `user show` of `user`. */
const groupOf = (word: string) => all.filter(([name]) => name.startsWith(`${word} `))

const readEnvFile = (path: string): Record<string, string | undefined> => {
  try {
    return parseEnv(readFileSync(path, "utf8"))
  } catch {
    throw new ConfigError(`${path} cannot be read`)
  }
}

/** The indexes of the arguments that are neither options nor the value of --env-file. */
const wordsOf = (argv: string[]) => [
  ...argv.keys().filter((at) => !argv[at]?.startsWith("-") && argv[at - 1] !== "--env-file"),
]

/** The name of the command, and the other arguments. */
const findCommand = (argv: string[]): { name: string; rest: string[] } => {
  const [first, second] = wordsOf(argv)
  if (first === undefined) return { name: "serve", rest: argv }
  const word = argv[first] ?? ""
  const group = groupOf(word)
  if (group.length === 0) return { name: word, rest: argv.toSpliced(first, 1) }
  const name = `${word} ${second === undefined ? "" : argv[second]}`
  if (!Object.hasOwn(commands, name)) {
    const [last, ...others] = group.map(([of]) => of.slice(word.length + 1)).reverse()
    throw new UsageError(`${word} takes ${others.reverse().join(", ")} or ${last}`, word)
  }
  return { name, rest: argv.filter((_, at) => at !== first && at !== second) }
}

const isHelp = (argument: string) => argument === "--help" || argument === "-h"

/** Prints the help of all commands, or of a group. */
const printHelp = ([word = ""]: string[]) => {
  const group = groupOf(word)
  return print(group.length > 0 ? `Usage:\n${describeCommands(group)}` : generalHelp())
}

const run = async (argv: string[], env: NodeJS.ProcessEnv): Promise<number> => {
  const words = wordsOf(argv).map((at) => argv[at] ?? "")
  if (argv.some(isHelp) && words.length < 2 && !Object.hasOwn(commands, words[0] ?? ""))
    return printHelp(words)
  if (argv.length === 1 && (argv[0] === "--version" || argv[0] === "-v"))
    return print(`todo-api ${version()}\n`)
  const { name, rest } = findCommand(argv)
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined
  if (!command) throw new UsageError(`unknown command: ${name}`)
  if (rest.some(isHelp)) return print(helpOf(name, command))
  try {
    const { args, flags } = parseOptions(rest, { ...command.options, ...everyOption })
    const file = flags["env-file"]
    return await command.run(
      typeof file === "string" ? { ...readEnvFile(file), ...env } : env,
      args,
      flags,
    )
  } catch (error) {
    throw error instanceof UsageError ? new UsageError(error.message, name) : error
  }
}

/** The message for the person at the terminal, and the exit code. */
const failure = async (error: unknown): Promise<[message: string, code: number]> => {
  if (error instanceof UsageError) {
    const help = ["todo-api", error.command, "--help"].filter(Boolean).join(" ")
    return [`${error.message}\nTry ${help}`, EXIT.usage]
  }
  if (error instanceof ConfigError) return [`wrong configuration:\n${error.message}`, EXIT.config]
  const message = error instanceof Error ? error.message : String(error)
  // Imported late, because it loads the driver.
  const { isAway } = await import("./database/errors.ts")
  if (isAway(error)) return [`the database did not come: ${message}`, EXIT.unavailable]
  return [message, EXIT.failure]
}

/** The driver and the programs would read libpq's variables, too: what counts is what the configuration says. */
const takeEnv = (): NodeJS.ProcessEnv => {
  const env = { ...process.env }
  for (const name of Object.keys(env)) if (name.startsWith("PG")) delete process.env[name]
  return env
}

const main = async (): Promise<number> => {
  try {
    return await run(process.argv.slice(2), takeEnv())
  } catch (error) {
    const [message, code] = await failure(error)
    console.error(`todo-api: ${message}`)
    return code
  }
}

/** Includes the first requests. */
const START_MS = 1_000
// The executable starts with the JIT delayed: .ci/build.ts says why.
setTimeout(() => Bun.unsafe.setJITPolicy(1), START_MS).unref()

// Does not wait for the event loop: after a signal during the start, work is left that nobody awaits.
process.exit(await main())
