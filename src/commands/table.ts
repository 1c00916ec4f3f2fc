/** All commands, by name. Their modules are loaded when they run, so that others start faster. */
import { type Command, type Options, print } from "./command.ts"

const json = { json: { about: "print one JSON value" } }

type OverUser = "showUser" | "resetUser" | "disableUser" | "enableUser" | "deleteUser"

const overUser = (name: OverUser, about: string, options?: Options): Command => ({
  argument: "USER",
  about,
  options: { ...options, ...json },
  run: async (...given) => (await import("./users.ts"))[name](...given),
})

const migration = (direction: "up" | "down" | "status", about: string): Command => ({
  about,
  run: async (env) => (await import("./migrate.ts")).runMigrate(env, direction),
})

const completion = (shell: "bash" | "zsh" | "fish"): Command => ({
  about: `print what completes these commands in ${shell}`,
  run: async () =>
    print((await import("./completion.ts")).completions[shell](Object.entries(commands))),
})

export const commands: Record<string, Command> = {
  serve: {
    about: "start the database if it is embedded, migrate, listen (the default command)",
    options: {
      "no-migrate": { about: "serve only if the schema is current already" },
      "allow-newer-schema": {
        about: "serve although the schema is newer than this version (roll-back)",
      },
    },
    run: async (...given) => (await import("./serve.ts")).serve(...given),
  },
  migrate: migration("up", "change the database's schema to that of this version"),
  "migrate up": migration("up", "the same"),
  "migrate down": migration("down", "take back the last migration"),
  "migrate status": migration("status", "print the state of the database's schema"),
  openapi: {
    about: "print the OpenAPI document",
    run: async () => print(await (await import("./openapi.ts")).openapiDocument()),
  },
  backup: {
    argument: "[FILE|-]",
    about: "write all data into FILE or to standard output; the service may run",
    options: { "with-secret": { about: "the key that signs the tokens is in it, too" } },
    run: async (...given) => (await import("./backup.ts")).backup(...given),
  },
  restore: {
    argument: "FILE|-",
    about: "read all data from FILE or standard input, into an empty database",
    run: async (env, file) => (await import("./restore.ts")).restore(env, file),
  },
  healthcheck: {
    about: "exit 0 when the service on HOST and PORT is ready",
    run: async (env) => (await import("./healthcheck.ts")).healthcheck(env),
  },
  licenses: {
    about: "print the notices of everything that is in this file",
    run: async () => (await import("./enclosed.ts")).printLicenses(),
  },
  client: {
    argument: "[FILE|-]",
    about: "write the npm package of the client into FILE or to standard output",
    run: async (_env, file) => (await import("./enclosed.ts")).writeClient(file),
  },
  "rotate-key": {
    about: "make a new secret for the embedded database's service",
    run: async (env) => (await import("./rotate-key.ts")).rotateKey(env),
  },
  "user list": {
    about: "the users, by their ids",
    options: {
      search: { value: "TEXT", about: "only those whose email contains TEXT" },
      limit: { value: "N", about: "at most N (default: 100)" },
      after: { value: "ID", about: "go on after the user with this id" },
      ...json,
    },
    run: async (...given) => (await import("./users.ts")).listUsers(...given),
  },
  "user show": overUser("showUser", "what there is of a user; USER is an email or an id"),
  "user invite": {
    argument: "[EMAIL]",
    about: "make a token by which somebody may register, or only EMAIL may",
    options: json,
    run: async (...given) => (await import("./users.ts")).inviteUser(...given),
  },
  "user reset": overUser("resetUser", "make a token by which a user sets a new password"),
  "user disable": overUser("disableUser", "refuse a user's logins and tokens, and delete nothing"),
  "user enable": overUser("enableUser", "let a disabled user in again"),
  "user delete": overUser("deleteUser", "delete a user and all that is theirs", {
    yes: { about: "do not ask" },
  }),
  "completion bash": completion("bash"),
  "completion zsh": completion("zsh"),
  "completion fish": completion("fish"),
  help: {
    argument: "[COMMAND]",
    about: "say how to use a command",
    // main.ts answers it, as it does --help.
    run: async () => 0,
  },
  version: {
    about: "print the version and the commit of this build",
    run: async () => print(`todo-api ${(await import("../version.ts")).version()}\n`),
  },
}
