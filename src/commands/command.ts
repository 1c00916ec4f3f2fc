/** What makes up a command: its options and its help, what it prints, and how a signal ends it. */
import { Writable } from "node:stream"
import { pipeline } from "node:stream/promises"
import { parseArgs } from "node:util"

/** A wrong command line, explained to the person who wrote it. */
export class UsageError extends Error {
  override name = "UsageError"

  constructor(
    message: string | undefined,
    /** The command whose --help explains more. */
    readonly command?: string,
  ) {
    super(message)
  }
}

type Option = {
  /** The name of its value. An option without one is a switch. */
  value?: string
  short?: string
  about: string
}
export type Options = { [name: string]: Option }
export type Flags = { [name: string]: string | boolean | undefined }

export type Command = {
  /** The name of its argument, in brackets if it may be left out: none has more than one. */
  argument?: string
  about: string
  options?: Options
  /** Gets "" for an argument that was left out. Resolves to the exit code. */
  run(env: NodeJS.ProcessEnv, argument: string, flags: Flags): Promise<number>
}

/** Options of every command. */
export const everyOption = {
  "env-file": {
    value: "FILE",
    about: "read variables that the environment does not set from FILE",
  },
  help: { short: "h", about: "say how to use it" },
  version: { short: "v", about: "print the version and the commit of this build" },
} satisfies Options

/** Throws a UsageError for an option that is not in `options`, unless it is not strict. */
export const parseOptions = (argv: string[], options: Options, strict = true) => {
  const types = Object.entries(options).map(([name, { value, short }]) => [
    name,
    { type: value === undefined ? "boolean" : "string", ...(short && { short }) },
  ])
  try {
    const { values, positionals } = parseArgs({
      args: argv,
      strict,
      allowPositionals: true,
      options: Object.fromEntries(types),
    })
    return { args: positionals, flags: values as Flags }
  } catch (error) {
    // Only the first sentence: the others suggest what may have been meant.
    const [message] = (error instanceof Error ? error.message : String(error)).split(". ")
    throw new UsageError(message)
  }
}

/** Waits for a slow reader of a pipe: node:fs fails if it is still full after a few attempts. */
export const createStandardOutput = () => {
  const sink = Bun.stdout.writer()
  const write = async (chunk: Buffer) => {
    await sink.write(chunk)
    await sink.flush()
  }
  return new Writable({
    write: (chunk: Buffer, _encoding, done) => void write(chunk).then(() => done(), done),
  })
}

/** Arrives whole, unless its reader, such as head, has read enough. */
export const print = async (output: string | Uint8Array) => {
  await pipeline([output], createStandardOutput()).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error
  })
  return 0
}

/** Bytes would confuse a terminal. */
export const refuseTerminal = (file: string, what: string) => {
  if (file === "-" && process.stdout.isTTY)
    throw new UsageError(`${what} is not for a terminal: name a FILE`)
}

const column = (rows: (readonly [left: string, right: string])[]) => {
  const width = Math.max(...rows.map(([left]) => left.length)) + 2
  return rows.map(([left, right]) => `  ${left.padEnd(width)}${right}\n`).join("")
}

const shown = (name: string, { value }: Option) => ["--", name, value && ` ${value}`].join("")

export const describeOptions = (options: Options) =>
  column(Object.entries(options).map(([name, option]) => [shown(name, option), option.about]))

export const usageOf = (name: string, { argument, options = {} }: Command) => {
  const optional = Object.entries(options).map(([name, option]) => `[${shown(name, option)}]`)
  return ["todo-api", name, argument, ...optional].filter(Boolean).join(" ")
}

export const describeCommands = (commands: [name: string, command: Command][]) =>
  column(commands.map(([name, command]) => [usageOf(name, command), command.about]))

/** Lets a signal end a command's work, which can then clean up. */
export const interruptible = async <Result>(work: (signal: AbortSignal) => Promise<Result>) => {
  const controller = new AbortController()
  const stop = (name: string) => controller.abort(new Error(`interrupted by ${name}`))
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"]
  for (const name of signals) process.once(name, stop)
  try {
    return await work(controller.signal)
  } catch (error) {
    // Streams wrap the reason in another error.
    throw controller.signal.aborted ? controller.signal.reason : error
  } finally {
    for (const name of signals) process.off(name, stop)
  }
}
