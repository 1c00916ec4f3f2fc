/** What a command is: what --help says of it, the options that it takes, and what it does. */
import { parseArgs } from "node:util"

/** A wrong command line, in words for the person who wrote it. */
export class UsageError extends Error {
  override name = "UsageError"

  constructor(
    message: string | undefined,
    /** The one whose --help says more. */
    readonly command?: string,
  ) {
    super(message)
  }
}

type Option = {
  /** What its value is called; an option without one is a switch. */
  value?: string
  about: string
}
export type Options = { [name: string]: Option }
export type Flags = { [name: string]: string | boolean | undefined }

export type Command = {
  /** Its arguments, as --help shows them. */
  usage?: string
  about: string
  options?: Options
  /** Resolves to the exit code. What it needs is loaded when it runs: a start pays for no other. */
  run(env: NodeJS.ProcessEnv, args: string[], flags: Flags): Promise<number>
}

export const noArguments = ([unexpected]: string[]) => {
  if (unexpected !== undefined) throw new UsageError(`unexpected argument: ${unexpected}`)
}

/** Of every command. */
export const everyOption = {
  "env-file": {
    value: "FILE",
    about: "read variables that the environment does not set from FILE",
  },
  help: { about: "say how to use it" },
} satisfies Options

/** Throws a UsageError for an option that is not in `options`. */
export const parseOptions = (argv: string[], options: Options) => {
  const types = Object.entries(options).map(([name, { value }]) => [
    name,
    { type: value === undefined ? "boolean" : "string" },
  ])
  try {
    const { values, positionals } = parseArgs({
      args: argv,
      allowPositionals: true,
      options: Object.fromEntries(types),
    })
    return { args: positionals, flags: values as Flags }
  } catch (error) {
    // Its first sentence says what is wrong; the others guess at what was meant.
    const [message] = (error instanceof Error ? error.message : String(error)).split(". ")
    throw new UsageError(message)
  }
}

export const print = async (text: string) => {
  await Bun.write(Bun.stdout, text).catch((error: NodeJS.ErrnoException) => {
    // Whoever reads it, such as head, has read enough.
    if (error.code !== "EPIPE") throw error
  })
  return 0
}

const column = (rows: (readonly [left: string, right: string])[]) => {
  const width = Math.max(...rows.map(([left]) => left.length)) + 2
  return rows.map(([left, right]) => `  ${left.padEnd(width)}${right}\n`).join("")
}

/** Options, each on a line of --help. */
export const describeOptions = (options: Options) =>
  column(
    Object.entries(options).map(([name, { value, about }]) => [
      `--${name}${value === undefined ? "" : ` ${value}`}`,
      about,
    ]),
  )

export const describeCommands = (commands: [name: string, command: Command][]) =>
  column(
    commands.map(([name, { usage = "", about }]) => [`todo-api ${name} ${usage}`.trim(), about]),
  )
