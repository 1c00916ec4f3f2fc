/** The version and the commit of this build. */
import { version as release } from "../package.json"

/** Set by the build. Not defined when run from source. */
declare const BUILD_COMMIT: string

const git = (...args: string[]) => {
  try {
    const { success, stdout } = Bun.spawnSync(["git", ...args], { cwd: import.meta.dir })
    return success ? stdout.toString().trim() : ""
  } catch {
    return ""
  }
}

/** With a `+` if the source differs from the commit. */
export const sourceCommit = () => {
  const commit = git("rev-parse", "--short=12", "HEAD")
  return commit && git("status", "--porcelain") ? `${commit}+` : commit || "unknown"
}

export const build = () => ({
  version: release,
  commit: typeof BUILD_COMMIT === "undefined" ? sourceCommit() : BUILD_COMMIT,
})

export const version = () => `${build().version} (commit ${build().commit})`
