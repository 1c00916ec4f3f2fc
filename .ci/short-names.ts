/**
 * Short names for a module that Terser has compressed. Terser gives each function its names anew, so
 * that `signal` is `e` here and `t` there; here a word has one short name wherever that is free, and
 * what is said twice is written twice alike, which gzip then stores once: 0.25 kB of the client.
 *
 * It uses the syntax tree that Terser returns, which is not documented: the types below are all that
 * is known of it. A name that is already given to something in its reach is never given again.
 */
import { minify } from "terser"

type Definition = {
  name: string
  /** Of the module, and not of one of its functions. */
  global: boolean
  /** Given by the runtime, such as `Map`. */
  undeclared: boolean
  /** Declared and exported at once, by this name. */
  export: unknown
  orig: readonly unknown[]
  references: readonly unknown[]
  mangled_name: string
}
/** `enclosed`: all that it and the scopes within it refer to. */
type Scope = { variables: ReadonlyMap<string, Definition>; enclosed: readonly Definition[] }
type Tree = Partial<Scope> & { thedef?: Definition; block_scope?: Scope }
type Visitor = { push(): void; pop(): void; _visit(node: Tree, descend?: () => void): void }
type Module = Tree & {
  figure_out_scope(options: object): void
  walk(visitor: Visitor): void
  print_to_string(options: object): string
}

/** The most frequent first, as in the words of the language: they have the shortest codes. */
const LETTERS = "etaronsildcupfhgwymvb_kESONMACTIR$xLUDPjqzBWHQXGFKVJZY"
const PAIRS = [...LETTERS].flatMap((first) => [...LETTERS].map((second) => first + second))
const NAMES = [...LETTERS, ...PAIRS.filter((name) => !/^(as|do|if|in|is|of)$/.test(name))]

const visit = (module: Module, see: (node: Tree) => void) => {
  const visitor: Visitor = {
    push: () => {},
    pop: () => {},
    _visit(node, descend) {
      see(node)
      descend?.call(node)
    },
  }
  module.walk(visitor)
}

/** What must not have the same name as another: it is in its scope, or is referred to from there. */
const neighboursIn = (scopes: ReadonlySet<Scope>) => {
  const neighbours = new Map<Definition, Set<Definition>>()
  const of = (one: Definition) => {
    const found = neighbours.get(one) ?? new Set()
    neighbours.set(one, found)
    return found
  }
  for (const { variables, enclosed } of scopes)
    for (const own of variables.values())
      for (const other of [...enclosed, ...variables.values()]) {
        of(own).add(other)
        of(other).add(own)
      }
  return of
}

const shorten = (module: Module) => {
  module.figure_out_scope({ module: true })
  const scopes = new Set<Scope>()
  const definitions = new Set<Definition>()
  const given = new Set<string>()
  visit(module, ({ variables, enclosed, block_scope, thedef }) => {
    if (variables && enclosed) scopes.add({ variables, enclosed })
    if (block_scope) scopes.add(block_scope)
    if (thedef?.undeclared || thedef?.export) given.add(thedef.name)
    else if (thedef) definitions.add(thedef)
  })
  const neighboursOf = neighboursIn(scopes)
  const names = NAMES.filter((name) => !given.has(name))
  const letters = names.slice(0, LETTERS.length)
  // As they were written: the bundler has numbered what is there twice.
  const words = Map.groupBy(
    definitions,
    ({ name, global }) => `${global} ${name.replace(/\d+$/, "")}`,
  )
  const taken = new Map([...definitions].map((one) => [one, new Set<string>()]))
  const isFree = (one: Definition, name: string) => !taken.get(one)?.has(name)
  const lost = (word: readonly Definition[], name: string) =>
    word.filter((one) => !isFree(one, name)).length
  // The module's own come last, because each of them is in the way everywhere.
  const rank = (word: readonly Definition[]) =>
    word[0]?.global ? word[0].references.length : 1e6 + word.length
  for (const word of [...words.values()].sort((a, b) => rank(b) - rank(a))) {
    const best = letters.reduce((least, next) =>
      lost(word, next) < lost(word, least) ? next : least,
    )
    for (const one of word) {
      one.mangled_name = [best, ...names].find((name) => isFree(one, name)) ?? one.name
      for (const neighbour of neighboursOf(one)) taken.get(neighbour)?.add(one.mangled_name)
    }
  }
}

/** The text of the module, compressed and with short names, also of these members of objects. */
export const shortened = async (text: string, members: readonly string[] = []) => {
  const options = { module: true, ecma: 2020, compress: { passes: 3, pure_getters: true } } as const
  const format: object = { ast: true, code: false }
  const mangle = { module: true, properties: { regex: new RegExp(`^(${members.join("|")})$`) } }
  const output: object = await minify(text, { ...options, mangle, format })
  const { ast } = output as { ast: Module }
  shorten(ast)
  return ast.print_to_string({ ecma: 2020 })
}
