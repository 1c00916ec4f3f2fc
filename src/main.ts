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
  usageOf,
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

const helpOf = (name: string, command: Command) =>
  `todo-api ${name}: ${command.about}

Usage:
  ${usageOf(name, command)}

Options:
${describeOptions({ ...command.options, ...everyOption })}${EXIT_CODES}`

/** The commands that begin with the words, such as `user list` and `user show`. */
const groupOf = (words: string) =>
  all.filter(([name]) => name === words || name.startsWith(`${words} `))

/** The help of a command, of a group, or of all. */
const helpFor = ([word, second]: string[]) => {
  if (word === undefined) return generalHelp()
  const exact = groupOf(`${word} ${second}`)
  const found = exact.length > 0 ? exact : groupOf(word)
  const [one, ...others] = found
  if (one === undefined) throw new UsageError(`unknown command: ${word}`)
  return others.length > 0 ? `Usage:\n${describeCommands(found)}` : helpOf(...one)
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
  const found = [`${word} ${second}`, word].find((name) => Object.hasOwn(commands, name))
  if (found !== undefined) return found
  const names = groupOf(word).map(([name]) => name.slice(word.length + 1))
  if (names.length === 0) throw new UsageError(`unknown command: ${word}`)
  const list = new Intl.ListFormat("en-GB", { type: "disjunction" }).format(names)
  throw new UsageError(`${word} takes ${list}`, word)
}

const argumentOf = (name: string, { argument }: Command, [given, ...others]: string[]) => {
  const unexpected = argument === undefined ? given : others[0]
  if (unexpected !== undefined) throw new UsageError(`unexpected argument: ${unexpected}`)
  if (!given && argument !== undefined && !argument.startsWith("["))
    throw new UsageError(`${name} takes ${argument}`)
  return given ?? ""
}

const run = async (argv: string[], env: NodeJS.ProcessEnv): Promise<number> => {
  const { args: words, flags: found } = parseOptions(argv, knownOptions, false)
  if (found["help"]) return print(helpFor(words))
  if (words[0] === "help") return print(helpFor(parseOptions(argv, everyOption).args.slice(1)))
  const name = nameOf(found["version"] ? ["version"] : words)
  const command = commands[name] as Command
  try {
    const { args, flags } = parseOptions(argv, { ...command.options, ...everyOption })
    const file = flags["env-file"]
    const argument = argumentOf(name, command, args.slice(name.split(" ").length))
    const variables = typeof file === "string" ? { ...readEnvFile(file), ...env } : env
    return await command.run(variables, argument, flags)
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
  const { isParameterRefused, isTlsMissing, mayPass } = await import("./database/errors.ts")
  if (isTlsMissing(error) || isParameterRefused(error))
    return [`wrong configuration:\nDATABASE_URL: ${message}`, EXIT.config]
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
