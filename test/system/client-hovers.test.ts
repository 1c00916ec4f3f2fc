/** What an editor shows of the client where somebody points at a name: named types, and a sentence. */
import { expect, test } from "bun:test"
import { join } from "node:path"
import typescript from "typescript-5"

/** A bar is before each name that is pointed at. */
const marked = `
import { ApiError, createClient, type Problem } from "./index.ts"
import { useTodos } from "./react.ts"
const |client = createClient({ url: "" })
client.|logIn
client.|call("delete", "/api/v1/todos/{id}", { path: { id: 1 } })
const |answer = await client.call("get", "/api/v1/todos/{id}", { path: { id: 1 } })
const { |data } = await client.call("get", "/api/v1/todos")
const told = ({ |problem }: { problem: Problem }) => problem.error_code === "BAD_REQUEST" && |problem
client.todos.|update
const |live = await client.todos.|live()
const |todo = await live.|create({ title: "" })
todo.|key
const status = live.|status()
status.|pending
const |trash = await live.deleted()
const |todos = |useTodos()
for (const |notice of live.notices())
  if (notice.kind === "conflict") |notice.|members
const show = (error: unknown) =>
  error instanceof ApiError && error.error_code === "BAD_REQUEST" && |error.|errors
`
const [first = "", ...parts] = marked.split("|")
const file = join(import.meta.dir, "..", "..", "src", "client", "pointed-at.ts")
const read = (path: string) =>
  path === file ? first + parts.join("") : typescript.sys.readFile(path)
const { ScriptTarget, ModuleKind, displayPartsToString } = typescript
const service = typescript.createLanguageService({
  ...typescript.sys,
  useCaseSensitiveFileNames: () => true,
  getDefaultLibFileName: typescript.getDefaultLibFilePath,
  readFile: read,
  fileExists: (path) => path === file || typescript.sys.fileExists(path),
  getScriptFileNames: () => [file],
  getScriptVersion: () => "1",
  getScriptSnapshot: (path) => typescript.ScriptSnapshot.fromString(read(path) ?? ""),
  getCompilationSettings: () => ({
    strict: true,
    allowImportingTsExtensions: true,
    noEmit: true,
    target: ScriptTarget.ES2022,
    module: ModuleKind.Preserve,
    lib: ["lib.es2022.d.ts"],
    types: [],
  }),
})

test("a type is shown by its name, and not by all that it stands for", () => {
  let at = first.length
  const shown = parts.map((part) => {
    const info = service.getQuickInfoAtPosition(file, at)
    at += part.length
    return displayPartsToString(info?.displayParts).split("\nimport ")[0]
  })
  expect(shown).toEqual([
    "const client: Client",
    "(method) Client.logIn(credentials: Credentials, options?: CallOptions): Promise<User>",
    '(property) Client.call: <"delete", "/api/v1/todos/{id}">(method: "delete", path: "/api/v1/todos/{id}", options: Options<"delete", "/api/v1/todos/{id}">) => Promise<Answer<undefined>>',
    "const answer: Answer<Todo>",
    "const data: Todo[]",
    "(parameter) problem: Problem",
    '(parameter) problem: ProblemOf<"BAD_REQUEST">',
    "(method) Todos.update(id: number, changes: TodoChanges, options?: ChangeOptions): Promise<Tagged>",
    "const live: Live",
    "(method) live(options?: LiveOptions): Promise<Live>",
    "const todo: LiveTodo",
    "(method) Live.create(todo: NewTodo): Promise<LiveTodo>",
    "(property) LiveTodo.key: string",
    "(method) Live.status(): Status",
    "(property) Status.pending: number",
    "const trash: readonly DeletedTodo[]",
    "const todos: readonly LiveTodo[]",
    "(alias) useTodos(filter?: Filter, sort?: Sort): readonly LiveTodo[]",
    "const notice: Notice",
    "const notice: ConflictNotice",
    "(property) ConflictNotice.members: Conflict[]",
    '(parameter) error: ApiErrorOf<"BAD_REQUEST">',
    '(property) ApiErrorOf<"BAD_REQUEST">.errors: BrokenRule[]',
  ])
})

test("every function of a client and of a replica, and every member of the status, has a sentence", () => {
  const program = service.getProgram()
  const checker = program?.getTypeChecker()
  const source = program?.getSourceFile(file.replace("pointed-at", "index"))
  const module = source && checker?.getSymbolAtLocation(source)
  const membersOf = (name: string) => {
    const exported = module && checker?.tryGetMemberInModuleExports(name, module)
    const type = exported && checker?.getDeclaredTypeOfSymbol(checker.getAliasedSymbol(exported))
    return type?.getProperties() ?? []
  }
  const members = ["Client", "Live", "Status", "LogOutOptions"].flatMap(membersOf)
  expect(members.length).toBeGreaterThan(30)
  expect(
    members
      .filter((member) => member.getDocumentationComment(checker).length === 0)
      .map(({ name }) => name),
  ).toEqual([])
})
