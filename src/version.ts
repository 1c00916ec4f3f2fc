/** The version and the commit of this build. */
import { version as release } from "../package.json"

/** Set by the build. Not defined when run from source. */
declare const BUILD_COMMIT: string

/** With a `+` if the source differs from the commit. */
export const sourceCommit = () => {
  const describe = ["git", "describe", "--always", "--exclude=*", "--abbrev=12", "--dirty=+"]
  try {
    const { success, stdout } = Bun.spawnSync(describe, { cwd: import.meta.dir })
    return success ? stdout.toString().trim() : "unknown"
  } catch {
    return "unknown"
  }
}

export const build = () => ({
  version: release,
  commit: typeof BUILD_COMMIT === "undefined" ? sourceCommit() : BUILD_COMMIT,
})

export const version = () => `${build().version} (commit ${build().commit})`
