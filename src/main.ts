/** Runs the command that the command line names. Only this file reads argv and env, and exits. */
import { readFileSync } from "node:fs"
import { parseEnv } from "node:util"
import {
  type Command,
  describeCommands,
  describeOptions,
  everyOption,
  type Options,
  parseOptions,
  print,
  UsageError,
} from "./commands/command.ts"
import { commands } from "./commands/table.ts"
import { ConfigError } from "./config/config.ts"

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
${describeCommands(all)}  todo-api COMMAND --help

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

/** The help of a command, of a group, or of all. */
const helpFor = ([word = "", second = ""]: string[]) => {
  const name = [`${word} ${second}`, word].find((name) => Object.hasOwn(commands, name)) ?? ""
  const command = commands[name]
  const group = groupOf(word)
  if (command) return helpOf(name, command)
  if (group.length > 0) return `Usage:\n${describeCommands(group)}`
  if (word !== "") throw new UsageError(`unknown command: ${word}`)
  return generalHelp()
}

const readEnvFile = (path: string): Record<string, string | undefined> => {
  try {
    return parseEnv(readFileSync(path, "utf8"))
  } catch {
    throw new ConfigError(`${path} cannot be read`)
  }
}

/** Of all commands, which tell where an option's value ends, whichever command it is for. */
const knownOptions: Options = Object.assign(
  {},
  everyOption,
  ...all.map(([, { options }]) => options),
)

/** The name of the command, in one word or two. */
const nameOf = ([word = "serve", second = ""]: string[]) => {
  const group = groupOf(word)
  const name = group.length > 0 ? `${word} ${second}` : word
  if (Object.hasOwn(commands, name)) return name
  if (group.length === 0) throw new UsageError(`unknown command: ${word}`)
  const names = group.map(([name]) => name.slice(word.length + 1))
  throw new UsageError(`${word} takes ${names.slice(0, -1).join(", ")} or ${names.at(-1)}`, word)
}

const run = async (argv: string[], env: NodeJS.ProcessEnv): Promise<number> => {
  const { args: words, flags: found } = parseOptions(argv, knownOptions, false)
  if (found["help"]) return print(helpFor(words))
  if (words[0] === "help") return print(helpFor(words.slice(1)))
  const name = nameOf(found["version"] && words.length === 0 ? ["version"] : words)
  const command = commands[name] as Command
  try {
    const { args, flags } = parseOptions(argv, { ...command.options, ...everyOption })
    const file = flags["env-file"]
    return await command.run(
      typeof file === "string" ? { ...readEnvFile(file), ...env } : env,
      args.slice(name.split(" ").length),
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
  const { mayPass, isTlsMissing } = await import("./database/errors.ts")
  if (isTlsMissing(error)) return [`wrong configuration:\nDATABASE_URL: ${message}`, EXIT.config]
  if (mayPass(error)) return [`the database did not come: ${message}`, EXIT.unavailable]
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

// Does not wait for the event loop: after a signal during the start, work is left that nobody awaits.
process.exit(await main())
