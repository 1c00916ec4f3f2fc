/** From the command line to a command: the only reader of arguments and environment, and of exit. */
import { readFileSync } from "node:fs"
import { parseArgs, parseEnv } from "node:util"
import { ConfigError } from "./config-error.ts"
import { isAway } from "./database/errors.ts"
import { version } from "./version.ts"

const HELP = `todo-api: a multi-user todo REST API

Usage:
  todo-api [serve]                  start the database if it is embedded, migrate, listen
  todo-api migrate [up|down|status] change the database's schema, or tell its state (default: up)
  todo-api openapi                  print the OpenAPI document
  todo-api healthcheck              exit 0 when the service on HOST and PORT is ready
  todo-api licenses                 print the notices of everything that is in this file
  todo-api rotate-key               make a new secret for the embedded database's service
  todo-api --help | --version

Options of all commands:
  --env-file FILE                   read variables that the environment does not set from FILE

Options of serve:
  --no-migrate                      serve only if the schema is current already
  --allow-newer-schema              serve although the schema is newer than this version (roll-back)

Exit codes: 0 ended as asked, 64 wrong command line, 69 the database did not come,
78 wrong configuration, 1 anything else. Configuration: environment variables, see README.md.
`

/** sysexits.h */
const EXIT = { usage: 64, unavailable: 69, config: 78, failure: 1 }

class UsageError extends Error {}

type Flags = { "no-migrate"?: boolean; "allow-newer-schema"?: boolean }
type Command = (env: NodeJS.ProcessEnv, args: string[], flags: Flags) => Promise<number>

const print = async (text: string) => {
  await Bun.write(Bun.stdout, text).catch((error: NodeJS.ErrnoException) => {
    // Whoever reads it, such as head, has read enough.
    if (error.code !== "EPIPE") throw error
  })
  return 0
}

const noArguments = (args: string[]) => {
  if (args.length > 0) throw new UsageError(`unexpected argument: ${args[0]}`)
}

const noFlags = (flags: Flags) => {
  for (const flag of Object.keys(flags)) throw new UsageError(`--${flag} is an option of serve`)
}

const isDirection = (word: string) => word === "up" || word === "down" || word === "status"

/** Each is loaded when it is called: a start pays for what it uses. */
const commands: Record<string, Command> = {
  serve: async (env, args, flags) => {
    noArguments(args)
    const { serve } = await import("./commands/serve.ts")
    return serve(env, {
      migrate: flags["no-migrate"] !== true,
      allowNewerSchema: flags["allow-newer-schema"] === true,
    })
  },
  migrate: async (env, [direction = "up", ...rest], flags) => {
    noArguments(rest)
    noFlags(flags)
    if (!isDirection(direction)) throw new UsageError("migrate takes up, down or status")
    const { runMigrate } = await import("./commands/migrate.ts")
    return runMigrate(env, direction)
  },
  openapi: async (_env, args, flags) => {
    noArguments(args)
    noFlags(flags)
    const { openapiDocument } = await import("./commands/openapi.ts")
    return print(await openapiDocument())
  },
  "rotate-key": async (env, args, flags) => {
    noArguments(args)
    noFlags(flags)
    const { rotateKey } = await import("./commands/rotate-key.ts")
    return rotateKey(env)
  },
  healthcheck: async (env, args, flags) => {
    noArguments(args)
    noFlags(flags)
    const { healthcheck } = await import("./commands/healthcheck.ts")
    return healthcheck(env)
  },
  licenses: async (_env, args, flags) => {
    noArguments(args)
    noFlags(flags)
    const { licenses } = await import("./commands/licenses.ts")
    return print(await licenses())
  },
}

const parse = (argv: string[]) => {
  try {
    return parseArgs({
      args: argv,
      allowPositionals: true,
      options: {
        help: { type: "boolean", short: "h" },
        version: { type: "boolean", short: "v" },
        "env-file": { type: "string" },
        "no-migrate": { type: "boolean" },
        "allow-newer-schema": { type: "boolean" },
      },
    })
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error))
  }
}

const readEnvFile = (path: string): Record<string, string | undefined> => {
  try {
    return parseEnv(readFileSync(path, "utf8"))
  } catch {
    throw new ConfigError(`${path} cannot be read`)
  }
}

const run = async (argv: string[], env: NodeJS.ProcessEnv): Promise<number> => {
  const { values, positionals } = parse(argv)
  const { help, version: wantsVersion, "env-file": envFile, ...flags } = values
  if (help) return print(HELP)
  if (wantsVersion) return print(`todo-api ${version()}\n`)
  const [name = "serve", ...args] = positionals
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined
  if (!command) throw new UsageError(`unknown command: ${name}`)
  return command(envFile === undefined ? env : { ...readEnvFile(envFile), ...env }, args, flags)
}

/** What went wrong, in words for the person at the terminal, and the exit code that says it. */
const failure = (error: unknown): [message: string, code: number] => {
  if (error instanceof UsageError) return [`${error.message}\nTry todo-api --help`, EXIT.usage]
  if (error instanceof ConfigError) return [`wrong configuration:\n${error.message}`, EXIT.config]
  const message = error instanceof Error ? error.message : String(error)
  if (isAway(error)) return [`the database did not come: ${message}`, EXIT.unavailable]
  return [message, EXIT.failure]
}

const main = async (): Promise<number> => {
  try {
    return await run(process.argv.slice(2), process.env)
  } catch (error) {
    const [message, code] = failure(error)
    console.error(`todo-api: ${message}`)
    return code
  }
}

/** The first requests count as a part of it. */
const START_MS = 1_000
// The executable starts with compilers that wait: .ci/build.ts says why.
setTimeout(() => Bun.unsafe.setJITPolicy(1), START_MS).unref()

// Not the end of the event loop: a signal during the start leaves work behind that nobody awaits.
process.exit(await main())
