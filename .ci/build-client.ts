/**
 * `bun run build:client`: src/client as an npm package in dist/client, with its types made anew of
 * the OpenAPI document. `--check` fails where the types in src/client were not.
 */
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { plugin } from "bun"
import typescript5 from "typescript-5"
import packageJson from "../package.json" with { type: "json" }

const root = join(import.meta.dir, "..")
const source = join(root, "src", "client")
const types = join(source, "api.ts")
/** Bytes of the module that a page loads, gzipped. */
const LIMIT = 10_000

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

const generateTypes = async () => {
  const { default: generate, astToString } = await import("openapi-typescript")
  const text = astToString(await generate(run("src/main.ts", "openapi")))
  return `/** Made of the OpenAPI document by \`bun run build:client\`: not to be edited. */\n${text}`
}

const bundle = async (outdir: string) => {
  await Bun.build({
    entrypoints: [join(source, "index.ts"), join(source, "storage", "file.ts")],
    outdir,
    root: source,
    naming: "[name].js",
    format: "esm",
    target: "browser",
    external: ["node:*"],
    minify: true,
  })
  return Bun.gzipSync(readFileSync(join(outdir, "index.js"))).length
}

const declare = (outdir: string) => {
  const config = join(outdir, "tsconfig.json")
  const compilerOptions = {
    ...{ noEmit: false, declaration: true, emitDeclarationOnly: true },
    ...{ rootDir: source, outDir: outdir, types: [join(root, "node_modules", "bun-types")] },
  }
  const files = [join(source, "index.ts"), join(source, "storage", "file.ts")]
  const extended = join(root, "tsconfig.json")
  writeFileSync(config, JSON.stringify({ extends: extended, compilerOptions, files, include: [] }))
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
const manifest = {
  name,
  version,
  description: `The client of: ${description}`,
  type: "module",
  sideEffects: false,
  exports: {
    "./client": { types: "./index.d.ts", default: "./index.js" },
    "./client/file": { types: "./storage/file.d.ts", default: "./file.js" },
  },
  engines: { node: ">=20" },
}

export const buildClient = async (outdir: string) => {
  rmSync(outdir, { recursive: true, force: true })
  const bytes = await bundle(outdir)
  declare(outdir)
  writeFileSync(join(outdir, "package.json"), `${JSON.stringify(manifest, undefined, 2)}\n`)
  if (bytes > LIMIT) throw new Error(`The client has ${bytes} bytes gzipped, more than ${LIMIT}`)
  return bytes
}

if (import.meta.main) {
  const text = await generateTypes()
  if (!process.argv.includes("--check")) writeFileSync(types, text)
  else if (readFileSync(types, "utf8") !== text)
    throw new Error("src/client/api.ts is not what the document says: bun run build:client")
  const bytes = await buildClient(join(root, "dist", "client"))
  console.log(`dist/client: ${bytes} bytes gzipped, of ${LIMIT} at most`)
}
