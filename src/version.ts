/** Which version this is, and of which commit. */
import { version as release } from "../package.json"

/** What the build sets; not there from source. */
declare const BUILD_COMMIT: string

const git = (...args: string[]) => {
  try {
    const { success, stdout } = Bun.spawnSync(["git", ...args], { cwd: import.meta.dir })
    return success ? stdout.toString().trim() : ""
  } catch {
    return ""
  }
}

/** With a `+` where the source differs from it. */
export const sourceCommit = () => {
  const commit = git("rev-parse", "--short=12", "HEAD")
  return commit && git("status", "--porcelain") ? `${commit}+` : commit || "unknown"
}

export const version = () =>
  `${release} (commit ${typeof BUILD_COMMIT === "undefined" ? sourceCommit() : BUILD_COMMIT})`
