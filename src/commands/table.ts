/** All commands, by name. */
import { type Command, noArguments, print, UsageError } from "./command.ts"

const isDirection = (word: string) => word === "up" || word === "down" || word === "status"

/** Bytes would confuse a terminal. */
const refuseTerminal = (file: string, what: string) => {
  if (file === "-" && process.stdout.isTTY)
    throw new UsageError(`${what} is not for a terminal: name a FILE`)
}

const withoutArguments = (
  about: string,
  run: (env: NodeJS.ProcessEnv) => Promise<number>,
): Command => ({
  about,
  async run(env, args) {
    noArguments(args)
    return run(env)
  },
})

const json = { json: { about: "print one JSON value" } }

type Users = typeof import("./users.ts")
type OverUser = "showUser" | "resetUser" | "disableUser" | "enableUser" | "deleteUser"

const overUser = (name: OverUser & keyof Users, about: string): Command => ({
  usage: "USER",
  about,
  options: json,
  async run(env, [user, ...rest], flags) {
    noArguments(rest)
    if (!user) throw new UsageError("it takes a user: an email or an id")
    return (await import("./users.ts"))[name](env, user, flags)
  },
})

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
      return (await import("./migrate.ts")).runMigrate(env, direction)
    },
  },
  openapi: withoutArguments("print the OpenAPI document", async () =>
    print(await (await import("./openapi.ts")).openapiDocument()),
  ),
  backup: {
    usage: "[FILE|-] [--with-secret]",
    about: "write all data into FILE or to standard output; the service may run",
    options: { "with-secret": { about: "the key that signs the tokens is in it, too" } },
    async run(env, [file = "-", ...rest], flags) {
      noArguments(rest)
      refuseTerminal(file, "a backup")
      return (await import("./backup.ts")).backup(env, file, flags["with-secret"] === true)
    },
  },
  restore: {
    usage: "FILE|-",
    about: "read all data from FILE or standard input, into an empty database",
    async run(env, [file, ...rest]) {
      noArguments(rest)
      if (file === undefined) throw new UsageError("restore takes a FILE, or - for standard input")
      return (await import("./restore.ts")).restore(env, file)
    },
  },
  healthcheck: withoutArguments("exit 0 when the service on HOST and PORT is ready", async (env) =>
    (await import("./healthcheck.ts")).healthcheck(env),
  ),
  licenses: withoutArguments("print the notices of everything that is in this file", async () =>
    (await import("./enclosed.ts")).printLicenses(),
  ),
  client: {
    usage: "[FILE|-]",
    about: "write the npm package of the client into FILE or to standard output",
    async run(_env, [file = "-", ...rest]) {
      noArguments(rest)
      refuseTerminal(file, "a package")
      return (await import("./enclosed.ts")).writeClient(file)
    },
  },
  "rotate-key": withoutArguments(
    "make a new secret for the embedded database's service",
    async (env) => (await import("./rotate-key.ts")).rotateKey(env),
  ),
  "user list": {
    usage: "[--search TEXT] [--limit N] [--after ID]",
    about: "the users, by their ids",
    options: {
      search: { value: "TEXT", about: "only those whose email contains TEXT" },
      limit: { value: "N", about: "at most N (default: 100)" },
      after: { value: "ID", about: "go on after the user with this id" },
      ...json,
    },
    async run(env, args, flags) {
      noArguments(args)
      return (await import("./users.ts")).listUsers(env, flags)
    },
  },
  "user show": overUser("showUser", "what there is of a user; USER is an email or an id"),
  "user invite": {
    usage: "[EMAIL]",
    about: "make a token by which somebody may register, or only EMAIL may",
    options: json,
    async run(env, [email, ...rest], flags) {
      noArguments(rest)
      return (await import("./users.ts")).inviteUser(env, email, flags)
    },
  },
  "user reset": overUser("resetUser", "make a token by which a user sets a new password"),
  "user disable": overUser("disableUser", "refuse a user's logins and tokens, and delete nothing"),
  "user enable": overUser("enableUser", "let a disabled user in again"),
  "user delete": {
    ...overUser("deleteUser", "delete a user and all that is theirs"),
    usage: "USER [--yes]",
    options: { yes: { about: "do not ask" }, ...json },
  },
  completion: {
    usage: "bash|zsh|fish",
    about: "print what completes these commands in a shell",
    async run(_env, [shell = "", ...rest]) {
      noArguments(rest)
      const { completions, isShell } = await import("./completion.ts")
      if (!isShell(shell)) throw new UsageError("completion takes bash, zsh or fish")
      return print(completions[shell](Object.entries(commands)))
    },
  },
  help: {
    usage: "[COMMAND]",
    about: "say how to use a command",
    // main.ts answers it, as it does --help.
    run: async () => 0,
  },
  version: {
    about: "print the version and the commit of this build",
    options: { version: { short: "v", about: "the same, without a command" } },
    async run(_env, args) {
      noArguments(args)
      return print(`todo-api ${(await import("../version.ts")).version()}\n`)
    },
  },
}
