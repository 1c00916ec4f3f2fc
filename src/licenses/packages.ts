/** Lists the npm packages in the service: its dependencies, and theirs. */
import { existsSync, readFileSync } from "node:fs"
import { dirname, join } from "node:path"

type Names = Record<string, string>
type Manifest = {
  name: string
  version: string
  license?: string
  author?: string | { name: string }
  dependencies?: Names
  optionalDependencies?: Names
  peerDependencies?: Names
  peerDependenciesMeta?: Record<string, { optional?: boolean }>
}

export type Package = {
  name: string
  version: string
  license: string
  author: string
  directory: string
  /** The directories of the direct dependencies of a package. */
  needs: string[]
}

const readManifest = (directory: string) =>
  JSON.parse(readFileSync(join(directory, "package.json"), "utf8")) as Manifest

/**
 * Looks into the nearest node_modules above, as Node does, but not above the root: packages for another
 * platform are installed below a node_modules that has those of this machine.
 */
const directoryOf = (name: string, from: string, root: string): string | undefined => {
  const directory = join(from, "node_modules", name)
  if (existsSync(join(directory, "package.json"))) return directory
  return from === root ? undefined : directoryOf(name, dirname(from), root)
}

/** Optional packages are not installed on every platform. */
const namesOf = (manifest: Manifest) => {
  const isNeeded = (name: string) => !manifest.peerDependenciesMeta?.[name]?.optional
  return [
    ...Object.keys({ ...manifest.dependencies, ...manifest.optionalDependencies }),
    ...Object.keys(manifest.peerDependencies ?? {}).filter(isNeeded),
  ]
}

/** Sorted by name and version. `root` is where package.json and node_modules are. */
export const packagesOf = (root: string): Package[] => {
  const found = new Map<string, Package>()
  const needsOf = (directory: string, manifest: Manifest) =>
    namesOf(manifest)
      .map((name) => directoryOf(name, directory, root))
      .filter((needed) => needed !== undefined)
  const visit = (directory: string) => {
    if (found.has(directory)) return
    const manifest = readManifest(directory)
    const { name, version, license = "", author = "" } = manifest
    const needs = needsOf(directory, manifest)
    const authorName = typeof author === "string" ? author : author.name
    found.set(directory, { name, version, license, author: authorName, directory, needs })
    needs.forEach(visit)
  }
  needsOf(root, readManifest(root)).forEach(visit)
  return [...found.values()].sort((a, b) =>
    `${a.name}@${a.version}` < `${b.name}@${b.version}` ? -1 : 1,
  )
}
