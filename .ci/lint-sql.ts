/**
 * Refuses SQL that a Postgres distributed by owner (Citus) is known to refuse, or to run on every
 * node: in db/migrations, src/todos and src/accounts. db/CITUS.md says what each rule is about.
 */
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"

/** Their rows are distributed by owner_id. */
const OWNER_TABLES = ["todos", "idempotency_keys", "revisions", "deleted_todos"]

/** Clean-ups, which run on every node a few times an hour, and what a restore does once. */
const OF_ALL_OWNERS = [
  "deleteExpiredKeys",
  "EXPIRED_TOMBSTONES",
  "expired",
  "FORGET_EXPIRED",
  "addMissingUsers",
]

const OWNER_TABLE = `(?:${OWNER_TABLES.join("|")})`
const REFERENCE = new RegExp(`\\b(?:from|join|into|update|using)\\s+${OWNER_TABLE}\\b`, "g")
const OWNER_IS_GIVEN =
  /\bowner_id\b(?:::\w+)?\s*(?:=|in\b)|\(\s*owner_id\s*[,)]|using\s*\(\s*owner_id\b/
const CHANGES = new RegExp(`\\b(?:update|delete\\s+from)\\s+${OWNER_TABLE}\\b`)

/** What is wrong with a statement over owner tables, wherever it stands. */
const RULES: [pattern: RegExp, problem: string][] = [
  [
    /_at\s*[+-]\s*(?:interval\b|make_interval\b|\?)/,
    "a STABLE function over a column: timestamptz + interval, without at time zone",
  ],
  [/\bon\s+conflict\b.*?\bdo\s+update\b.*?\bwhere\b[^)]*\bnow\(/s, "now() in ON CONFLICT's WHERE"],
  [/\bas\s+(?:not\s+)?(?:materialized\s+)?\(\s*select\s+from\b/, "a CTE with an empty select list"],
]
const VOLATILE = /\b(?:set_config|random|clock_timestamp|gen_random_uuid|nextval)\(/

type Statement = { name: string; text: string }

/** Of the file: what each function's first template says, for where another one calls it. */
type Fragments = Map<string, string>

/** A template literal, with those in its `${}` in their place, and any other expression as `?`. */
const readTemplate = (source: string, start: number, fragments: Fragments) => {
  let text = ""
  let at = start
  while (at < source.length && source[at] !== "`") {
    if (!source.startsWith("${", at)) {
      text += source[at++]
      continue
    }
    const [, called = ""] = /^\$\{(\w+)\(/.exec(source.slice(at)) ?? []
    let inner = fragments.get(called) ?? ""
    let depth = 1
    at += 2
    while (depth > 0 && at < source.length) {
      if (source[at] === "`") {
        const nested: { text: string; end: number } = readTemplate(source, at + 1, fragments)
        inner += ` ${nested.text} `
        at = nested.end
      } else {
        if (source[at] === "{") depth++
        if (source[at] === "}") depth--
        at++
      }
    }
    text += inner.trim() === "" ? "?" : inner
  }
  return { text, end: at + 1 }
}

const withoutComments = (source: string) =>
  source.replace(/\/\*.*?\*\//gs, "").replace(/^\s*(?:\/\/|--).*$/gm, "")

const templatesOf = (code: string, fragments: Fragments): Statement[] => {
  const found: Statement[] = []
  for (let at = code.indexOf("`"); at !== -1; ) {
    const { text, end } = readTemplate(code, at + 1, fragments)
    const [, name = ""] = [...code.slice(0, at).matchAll(/^(?:export )?const (\w+)/gm)].at(-1) ?? []
    found.push({ name, text })
    at = code.indexOf("`", end)
  }
  return found
}

const statementsOf = (source: string): Statement[] => {
  const code = withoutComments(source)
  // The first template of a name wins: Map keeps the last.
  const fragments = templatesOf(code, new Map()).toReversed()
  return templatesOf(code, new Map(fragments.map(({ name, text }) => [name, text])))
}

/** The innermost parentheses round a place, or the whole statement. */
const scopeOf = (text: string, place: number) => {
  let depth = 0
  let start = place
  while (start > 0 && depth < 1) {
    start--
    if (text[start] === ")") depth--
    if (text[start] === "(") depth++
  }
  let end = place
  depth = 0
  while (end < text.length && depth > -1) {
    if (text[end] === "(") depth++
    if (text[end] === ")") depth--
    end++
  }
  return text.slice(start, end)
}

const problemsOf = ({ name, text }: Statement): string[] => {
  const scopes = [...text.matchAll(REFERENCE)].map(({ index }) => scopeOf(text, index))
  if (scopes.length === 0) return []
  const problems = RULES.filter(([pattern]) => pattern.test(text)).map(([, problem]) => problem)
  const everywhere = scopes.filter((scope) => !OWNER_IS_GIVEN.test(scope.replace(/^\(/, "")))
  if (everywhere.length > 0 && !OF_ALL_OWNERS.includes(name))
    problems.push("an owner's table without its owner_id")
  if (OF_ALL_OWNERS.includes(name) && /\bskip\s+locked\b/.test(text))
    problems.push("for update skip locked over many shards")
  if (scopes.some((scope) => CHANGES.test(scope) && VOLATILE.test(scope)))
    problems.push("a VOLATILE function in UPDATE or DELETE")
  return problems
}

export const lintQueries = (source: string): string[] =>
  statementsOf(source).flatMap((statement) =>
    problemsOf(statement).map((problem) => `${statement.name}: ${problem}`),
  )

export const lintMigration = (source: string): string[] => {
  const up = withoutComments(source.replace(/^-- migrate:down.*/ms, ""))
  const problems: string[] = []
  if (/\bgenerated\s+(?:always|by\s+default)\s+as\s+identity\b|\b(?:big)?serial\b/.test(up))
    problems.push("an identity column: use a sequence of its own")
  for (const [, table = "", body = ""] of up.matchAll(/\bcreate table (\w+) \((.*?)^\)/gms)) {
    if (!OWNER_TABLES.includes(table)) continue
    for (const [key] of body.matchAll(/\b(?:primary key|unique) \([^)]*\)/g))
      if (!/\(owner_id\b/.test(key))
        problems.push(`${table}: a key that does not begin with the owner`)
  }
  for (const [index, table = ""] of up.matchAll(/\bcreate unique index .*?\bon (\w+)[^;]*/gs))
    if (OWNER_TABLES.includes(table) && !/\(owner_id\b/.test(index))
      problems.push(`${table}: a unique index that does not begin with the owner`)
  return problems
}

const root = join(import.meta.dir, "..")
const filesBelow = (folder: string, isWanted: (name: string) => boolean) =>
  (readdirSync(join(root, folder), { recursive: true }) as string[])
    .filter(isWanted)
    .map((name) => ({
      name: join(folder, name),
      source: readFileSync(join(root, folder, name), "utf8"),
    }))

if (import.meta.main) {
  const problems = [
    ...["src/todos", "src/accounts"]
      .flatMap((room) => filesBelow(room, (name) => name.endsWith(".ts")))
      .flatMap(({ name, source }) => lintQueries(source).map((problem) => `${name}: ${problem}`)),
    ...filesBelow("db/migrations", (name) => name.endsWith(".sql")).flatMap(({ name, source }) =>
      lintMigration(source).map((problem) => `${name}: ${problem}`),
    ),
  ]
  for (const problem of problems) console.error(problem)
  process.exit(problems.length > 0 ? 1 : 0)
}
