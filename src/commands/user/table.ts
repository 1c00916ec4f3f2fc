/** The commands over users, by name. */
import { type Command, type Flags, noArguments, UsageError } from "../command.ts"

const oneUser = ([user, ...rest]: string[]): string => {
  noArguments(rest)
  if (!user) throw new UsageError("it takes a user: an email or an id")
  return user
}

const json = { json: { about: "print one JSON value" } }

type OverUser = (env: NodeJS.ProcessEnv, user: string, flags: Flags) => Promise<number>

const overUser = (about: string, run: OverUser): Command => ({
  usage: "USER",
  about,
  options: json,
  run: async (env, args, flags) => run(env, oneUser(args), flags),
})

export const userCommands: Record<string, Command> = {
  "user list": {
    usage: "[--search TEXT] [--limit N] [--after ID]",
    about: "the users, by their ids",
    options: {
      search: { value: "TEXT", about: "only those whose email contains TEXT" },
      limit: { value: "N", about: "so many at most (default: 100)" },
      after: { value: "ID", about: "go on after the user with this id" },
      ...json,
    },
    async run(env, args, flags) {
      noArguments(args)
      return (await import("../users.ts")).listUsers(env, flags)
    },
  },
  "user show": overUser(
    "what there is of a user; USER is an email or an id",
    async (env, user, flags) => (await import("./show.ts")).showUser(env, user, flags),
  ),
  "user invite": {
    usage: "[EMAIL]",
    about: "make a token by which somebody may register, or only EMAIL may",
    options: json,
    async run(env, [email, ...rest], flags) {
      noArguments(rest)
      return (await import("./invite.ts")).inviteUser(env, email, flags)
    },
  },
  "user reset": overUser(
    "make a token by which a user sets a new password",
    async (env, user, flags) => (await import("./reset.ts")).resetUser(env, user, flags),
  ),
  "user disable": overUser(
    "refuse a user's logins and tokens, and delete nothing",
    async (env, user, flags) => (await import("./state.ts")).setUserState(env, user, true, flags),
  ),
  "user enable": overUser("let a disabled user in again", async (env, user, flags) =>
    (await import("./state.ts")).setUserState(env, user, false, flags),
  ),
  "user delete": {
    ...overUser("delete a user and all that is theirs", async (env, user, flags) =>
      (await import("./delete.ts")).deleteUser(env, user, flags),
    ),
    usage: "USER [--yes]",
    options: { yes: { about: "do not ask" }, ...json },
  },
}
