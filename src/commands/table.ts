/** All commands, by name. */
import { type Command, noArguments, print, UsageError } from "./command.ts"
import { userCommands } from "./user/table.ts"

const isDirection = (word: string) => word === "up" || word === "down" || word === "status"

export const commands: Record<string, Command> = {
  serve: {
    usage: "[--no-migrate] [--allow-newer-schema]",
    about: "start the database if it is embedded, migrate, listen (the default command)",
    options: {
      "no-migrate": { about: "serve only if the schema is current already" },
      "allow-newer-schema": {
        about: "serve although the schema is newer than this version (roll-back)",
      },
    },
    async run(env, args, flags) {
      noArguments(args)
      const { serve } = await import("./serve.ts")
      return serve(env, {
        migrate: flags["no-migrate"] !== true,
        allowNewerSchema: flags["allow-newer-schema"] === true,
      })
    },
  },
  migrate: {
    usage: "[up|down|status]",
    about: "change the database's schema, or tell its state (default: up)",
    async run(env, [direction = "up", ...rest]) {
      noArguments(rest)
      if (!isDirection(direction)) throw new UsageError("migrate takes up, down or status")
      const { runMigrate } = await import("./migrate.ts")
      return runMigrate(env, direction)
    },
  },
  openapi: {
    about: "print the OpenAPI document",
    async run(_env, args) {
      noArguments(args)
      const { openapiDocument } = await import("./openapi.ts")
      return print(await openapiDocument())
    },
  },
  backup: {
    usage: "[FILE|-] [--with-secret]",
    about: "write all data into FILE or to standard output; the service may run",
    options: { "with-secret": { about: "the key that signs the tokens is in it, too" } },
    async run(env, [file = "-", ...rest], flags) {
      noArguments(rest)
      if (file === "-" && process.stdout.isTTY)
        throw new UsageError("a backup is not for a terminal: name a FILE")
      const { backup } = await import("./backup.ts")
      return backup(env, file, flags["with-secret"] === true)
    },
  },
  restore: {
    usage: "FILE|-",
    about: "read all data from FILE or standard input, into an empty database",
    async run(env, [file, ...rest]) {
      noArguments(rest)
      if (file === undefined) throw new UsageError("restore takes a FILE, or - for standard input")
      const { restore } = await import("./restore.ts")
      return restore(env, file)
    },
  },
  healthcheck: {
    about: "exit 0 when the service on HOST and PORT is ready",
    async run(env, args) {
      noArguments(args)
      const { healthcheck } = await import("./healthcheck.ts")
      return healthcheck(env)
    },
  },
  licenses: {
    about: "print the notices of everything that is in this file",
    async run(_env, args) {
      noArguments(args)
      const { licenses } = await import("./licenses.ts")
      return print(await licenses())
    },
  },
  "rotate-key": {
    about: "make a new secret for the embedded database's service",
    async run(env, args) {
      noArguments(args)
      const { rotateKey } = await import("./rotate-key.ts")
      return rotateKey(env)
    },
  },
  ...userCommands,
}
