/** `todo-api completion bash|zsh|fish`: made of the table of commands. */
import { type Command, everyOption } from "./command.ts"

type Commands = [name: string, command: Command][]

/** What may follow: after nothing, after `user`, and after each command. */
const followers = (commands: Commands): [line: string, words: string[]][] => {
  const groups = Map.groupBy(commands, ([name]) => name.split(" ")[0] ?? "")
  return [
    ...commands.map(([name, { usage = "", options }]): [string, string[]] => [
      name,
      [
        ...(/^\[?([a-z]+(?:\|[a-z]+)+)\]?/.exec(usage)?.[1]?.split("|") ?? []),
        ...Object.keys({ ...options, ...everyOption }).map((option) => `--${option}`),
      ],
    ]),
    ...[...groups].flatMap(([word, group]): [string, string[]][] =>
      group.length > 1 ? [[word, group.map(([name]) => name.slice(word.length + 1))]] : [],
    ),
    ["", [...groups.keys()]],
  ]
}

const cases = (commands: Commands, reply: (words: string) => string) =>
  followers(commands)
    .map(([line, words]) => `    "${line}"${line && "*"}) ${reply(words.join(" "))} ;;\n`)
    .join("")

const bash = (commands: Commands) => `_todo_api() {
  local line="\${COMP_WORDS[*]:1:COMP_CWORD-1}" word="\${COMP_WORDS[COMP_CWORD]}"
  case "$line" in
${cases(commands, (words) => `COMPREPLY=($(compgen -W "${words}" -- "$word"))`)}  esac
}
complete -o default -F _todo_api todo-api
`

const zsh = (commands: Commands) => `#compdef todo-api
_todo_api() {
  case "\${(j: :)words[2,CURRENT-1]}" in
${cases(commands, (words) => `compadd -- ${words}`)}  esac
  _files
}
compdef _todo_api todo-api
`

const fish = (commands: Commands) =>
  followers(commands)
    .map(([line, words]) => {
      const before =
        line === ""
          ? "test (count (commandline -opc)) -eq 1"
          : `string match -q 'todo-api ${line}*' (commandline -opc | string join ' ')`
      return `complete -c todo-api -n "${before}" -a "${words.join(" ")}"\n`
    })
    .join("")

export const completions = { bash, zsh, fish }

export const isShell = (name: string): name is keyof typeof completions =>
  Object.hasOwn(completions, name)
