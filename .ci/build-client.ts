/**
 * `bun run build:client`: src/client as an npm package in dist/client, with its types made anew of
 * the OpenAPI document, and as dist/todo-api-client-VERSION.tgz, the same bytes for the same source.
 * `--check` fails where the types in src/client were not made of the document.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type PluginBuilder, plugin } from "bun"
import { minify } from "terser"
import typescript5 from "typescript-5"
import packageJson from "../package.json" with { type: "json" }
import { END_OF_ARCHIVE, memberOf } from "../src/backup/tar.ts"

const root = join(import.meta.dir, "..")
const source = join(root, "src", "client")
const types = join(source, "api.ts")
/** What `todo-api/client/NAME` is: the module and its types are found by it. */
const parts = { file: "storage/file", "async-storage": "storage/async-storage", react: "react" }
const entries = ["index", ...Object.values(parts)].map((file) => join(source, `${file}.ts`))
/** Bytes of the module that a page loads, gzipped. */
const LIMIT = 13_760

/** The generator is written against TypeScript 5: the compiler of this project has no API. */
plugin({
  name: "typescript 5 for the generator",
  setup: ({ module }) => {
    module("typescript", () => ({ loader: "object", exports: { default: typescript5 } }))
  },
})

const run = (...command: string[]) => {
  const { success, stdout } = Bun.spawnSync([process.execPath, ...command], {
    cwd: root,
    stdio: ["ignore", "pipe", "inherit"],
  })
  if (!success) throw new Error(`${command.join(" ")} failed\n${stdout}`)
  return stdout.toString()
}

/** The rules of a new todo, which an edit is checked by before it waits in a queue. */
const rulesIn = (document: string) => {
  const { required, properties } = JSON.parse(document).components.schemas.NewTodo
  const members = Object.entries<Record<string, unknown>>(properties).map(([name, rule]) => {
    const { type, nullable, minLength, maxLength, pattern } = rule
    const isRequired = required.includes(name) || undefined
    return [name, { type, required: isRequired, nullable, minLength, maxLength, pattern }]
  })
  return JSON.stringify(Object.fromEntries(members), undefined, 4)
}

/** An editor shows the comments as they are: without the names of tags, and formats that say nothing. */
const plain = (text: string) =>
  text
    .replaceAll(/ *\* Format: .*\n(?= *\* @description)/g, "")
    .replaceAll(/ *\/\*\* Format: (int64|password) \*\/\n/g, "")
    .replaceAll("* @description ", "* ")

const generateApi = async () => {
  const { default: generate, astToString } = await import("openapi-typescript")
  const document = run("src/main.ts", "openapi")
  return [
    "/** Made of the OpenAPI document by `bun run build:client`: not to be edited. */",
    plain(astToString(await generate(document))),
    "/** What the service demands of the members of a new todo. */",
    `export const rules = ${rulesIn(document)} as const\n`,
  ].join("\n")
}

/** The module for React uses that of the client: it has no second one. */
const shareClient = ({ onResolve }: PluginBuilder) => {
  onResolve({ filter: /^\.\/index\.ts$/ }, () => ({ path: "./index.js", external: true }))
}

/** A tenth smaller than Bun's own minifier makes it. */
const bundle = async (outdir: string) => {
  const { outputs } = await Bun.build({
    entrypoints: entries,
    root: source,
    naming: "[name].js",
    format: "esm",
    target: "browser",
    external: ["node:*", "react"],
    minify: { syntax: true },
    plugins: [{ name: "one client in all parts", setup: shareClient }],
  })
  for (const output of outputs) {
    const { code = "" } = await minify(await output.text(), {
      module: true,
      ecma: 2020,
      compress: { passes: 3, pure_getters: true, lhs_constants: false, inline: 1 },
    })
    await Bun.write(join(outdir, output.path), code)
  }
  return Bun.gzipSync(readFileSync(join(outdir, "index.js"))).length
}

const declare = (outdir: string) => {
  const config = join(outdir, "tsconfig.json")
  const compilerOptions = {
    ...{ noEmit: false, declaration: true, emitDeclarationOnly: true },
    ...{ rootDir: source, outDir: outdir, types: [join(root, "node_modules", "bun-types")] },
  }
  const extended = join(root, "tsconfig.json")
  const files = { files: entries, include: [] }
  writeFileSync(config, JSON.stringify({ extends: extended, compilerOptions, ...files }))
  run("x", "tsc", "-p", config)
  rmSync(config)
  // As they are published: each beside its module.
  for (const file of readdirSync(outdir, { recursive: true }) as string[])
    if (file.endsWith(".d.ts")) {
      const path = join(outdir, file)
      writeFileSync(path, readFileSync(path, "utf8").replaceAll(/(from ".+)\.ts"/g, '$1.js"'))
    }
}

const { name, version, description } = packageJson
const client = { types: "./index.d.ts", default: "./index.js" }
const manifest = {
  name,
  version,
  description: `The client of: ${description}`,
  license: "license" in packageJson ? packageJson.license : "UNLICENSED",
  type: "module",
  sideEffects: false,
  exports: {
    ".": client,
    "./client": client,
    ...Object.fromEntries(
      Object.entries(parts).map(([part, file]) => [
        `./client/${part}`,
        { types: `./${file}.d.ts`, default: `./${part}.js` },
      ]),
    ),
    "./package.json": "./package.json",
  },
  // For those that know no `exports`: TypeScript with `moduleResolution: node10`.
  main: "./index.js",
  types: "./index.d.ts",
  typesVersions: {
    "*": {
      client: ["./index.d.ts"],
      ...Object.fromEntries(
        Object.entries(parts).map(([part, file]) => [`client/${part}`, [`./${file}.d.ts`]]),
      ),
    },
  },
  peerDependencies: { react: ">=18" },
  peerDependenciesMeta: { react: { optional: true } },
  engines: { node: ">=20" },
}

export const buildClient = async (outdir: string) => {
  rmSync(outdir, { recursive: true, force: true })
  const bytes = await bundle(outdir)
  declare(outdir)
  writeFileSync(join(outdir, "package.json"), `${JSON.stringify(manifest, undefined, 2)}\n`)
  const readme = readFileSync(join(source, "README.md"), "utf8")
  writeFileSync(join(outdir, "README.md"), readme.replaceAll("-1.0.0.tgz", `-${version}.tgz`))
  if (bytes > LIMIT) throw new Error(`The client has ${bytes} bytes gzipped, more than ${LIMIT}`)
  return bytes
}

/** As npm does: the time of the build would make other bytes of the same source. */
const AS_NPM = { mode: 0o644, modified: 499_162_500 }

/** The npm package of this version. */
export const tarballName = `${name}-client-${version}.tgz`

/** What `buildClient` left in a directory, as `npm install FILE` takes it. */
export const packClient = (directory: string) => {
  const files = (readdirSync(directory, { recursive: true }) as string[])
    .filter((file) => statSync(join(directory, file)).isFile())
    .sort()
  const members = files.map((file) =>
    memberOf(`package/${file}`, readFileSync(join(directory, file)), AS_NPM),
  )
  return Bun.gzipSync(Buffer.concat([...members, END_OF_ARCHIVE]), { level: 9 })
}

/** The package as bytes, the same for the same source: \`todo-api client\` writes them. */
export const clientTarball = async () => {
  const directory = mkdtempSync(join(tmpdir(), "todo-api-client-"))
  try {
    await buildClient(directory)
    return packClient(directory)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

if (import.meta.main) {
  const text = await generateApi()
  if (!process.argv.includes("--check")) writeFileSync(types, text)
  else if (readFileSync(types, "utf8") !== text)
    throw new Error("src/client/api.ts is not what the document says: bun run build:client")
  const directory = join(root, "dist", "client")
  const bytes = await buildClient(directory)
  const tarball = join(root, "dist", tarballName)
  writeFileSync(tarball, packClient(directory))
  console.log(`dist/client: ${bytes} bytes gzipped, of ${LIMIT} at most; ${tarball}`)
}
