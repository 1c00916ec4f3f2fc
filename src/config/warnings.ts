/** Warns of configurations and limits that work, but are less secure than they look. */
import { readFileSync, statSync } from "node:fs"
import { dirname, resolve } from "node:path"
import type { Config } from "./config.ts"
import { connectionOptions, hostUrls, isLocal } from "./database-url.ts"
import { type Env, isOfKubernetes } from "./readers.ts"

/** Random keys have more. Of those with 32 hexadecimal digits one in ten thousand has fewer. */
const DISTINCT_CHARACTERS = 10
/** Each connection takes one. Whoever opens as many without a request takes them all. */
const FEW_FILES = 4_096
const WORLD_WRITABLE = 0o002
/** The sticky bit: only the owner of an entry may rename it. */
const STICKY = 0o1000

/** Whether something is sent to another machine by a protocol that anybody between can read and change. */
const isInTheClear = (url: string | undefined, protocol: string) => {
  if (url === undefined) return false
  const { hostname, protocol: used } = new URL(url)
  return used === protocol && !isLocal(hostname.replace(/^\[|\]$/g, ""))
}

/** Whoever may write to a directory above DATA_DIR can replace it by another one. */
const mayBeReplaced = (dataDir: string) => {
  for (let path = resolve(dataDir); path !== dirname(path); path = dirname(path)) {
    const { mode } = statSync(dirname(path), { throwIfNoEntry: false }) ?? { mode: 0 }
    if (mode & WORLD_WRITABLE && !(mode & STICKY)) return true
  }
  return false
}

/** The hard limit, which Bun makes its own. Only Linux reports it: elsewhere it is not a number. */
export const openFilesLimit = () => {
  try {
    const limits = readFileSync("/proc/self/limits", "utf8")
    return Number(/^Max open files\s+\d+\s+(\d+)/m.exec(limits)?.[1])
  } catch {
    return Number.NaN
  }
}

const WEAKNESSES: [isWeak: (config: Config, env: Env) => boolean, warning: string][] = [
  [
    (_, env) => isOfKubernetes(env["METRICS_PORT"]),
    "METRICS_PORT is ignored: Kubernetes set it for a service that is called metrics",
  ],
  [
    ({ DATABASE_URL }, env) => DATABASE_URL === undefined && Boolean(env["PGHOST"]),
    "PGHOST is ignored without DATABASE_URL, and the embedded database is used: postgres:// uses it",
  ],
  [
    ({ SECRET_KEY = "" }) => SECRET_KEY !== "" && new Set(SECRET_KEY).size < DISTINCT_CHARACTERS,
    "SECRET_KEY has few distinct characters: whoever guesses it signs tokens",
  ],
  [
    ({ JWT_ISSUER, JWT_AUDIENCE }) => JWT_ISSUER !== undefined && JWT_AUDIENCE === undefined,
    "JWT_AUDIENCE is not set: tokens that JWT_ISSUER issued for other services are accepted, too",
  ],
  [
    ({ JWKS_URL }) => isInTheClear(JWKS_URL, "http:"),
    "JWKS_URL is fetched from another machine without TLS: whoever is in between signs tokens",
  ],
  [
    ({ TRUSTED_PROXIES }) => TRUSTED_PROXIES.some((network) => /\/0+$/.test(network)),
    "TRUSTED_PROXIES are everybody: any client can claim any address, and escapes the rate limits",
  ],
  [
    ({ DATABASE_URL }) =>
      DATABASE_URL !== undefined &&
      hostUrls(DATABASE_URL)
        .map(connectionOptions)
        .some(({ host, sslmode }) => !sslmode.startsWith("verify") && !isLocal(host)),
    "DATABASE_URL names another machine, and does not check who answers: sslmode=verify-full does",
  ],
  [
    ({ SMTP_URL }) =>
      isInTheClear(SMTP_URL, "smtp:") &&
      new URL(SMTP_URL ?? "").searchParams.get("requireTLS") !== "true",
    "SMTP_URL names another machine, and takes it without TLS: smtps:// or requireTLS=true do not",
  ],
  [
    ({ DATABASE_URL, DATA_DIR }) => DATABASE_URL === undefined && mayBeReplaced(DATA_DIR),
    "DATA_DIR lies below a directory that everybody may write to: whoever does can replace it",
  ],
  [
    () => openFilesLimit() < FEW_FILES,
    `Fewer than ${FEW_FILES} files may be open, and each connection is one: raise the limit (ulimit -n)`,
  ],
]

/** The warnings for the operator. None contains a value, which may be a secret. */
export const warningsOf = (config: Config, env: Env): string[] =>
  WEAKNESSES.filter(([isWeak]) => isWeak(config, env)).map(([, warning]) => warning)
