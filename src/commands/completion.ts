/** `todo-api completion bash|zsh|fish`: made of the table of commands. */
import { type Command, everyOption } from "./command.ts"

type Commands = [name: string, command: Command][]

/** The words that may come after each beginning of a command line, the longest beginnings first. */
const completionsOf = (commands: Commands): [line: string, words: string[]][] => {
  const lines = new Map(
    commands.map(([name, { options }]) => [
      name,
      Object.keys({ ...options, ...everyOption }).map((option) => `--${option}`),
    ]),
  )
  const groups = Map.groupBy(commands, ([name]) => name.split(" ")[0] ?? "")
  for (const [word, group] of groups)
    if (group.length > 1)
      lines.set(word, group.map(([name]) => name.slice(word.length + 1)).filter(Boolean))
  lines.set("", [...groups.keys()])
  return [...lines].sort(([a], [b]) => b.length - a.length)
}

const cases = (commands: Commands, reply: (words: string) => string) =>
  completionsOf(commands)
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
  completionsOf(commands)
    .map(([line, words]) => {
      const before =
        line === ""
          ? "test (count (commandline -opc)) -eq 1"
          : `string match -q 'todo-api ${line}*' (commandline -opc | string join ' ')`
      return `complete -c todo-api -n "${before}" -a "${words.join(" ")}"\n`
    })
    .join("")

export const completions = { bash, zsh, fish }
