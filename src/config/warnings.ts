/** Warns of configurations and limits that work, but are less secure than they look. */
import { readFileSync, statSync } from "node:fs"
import { dirname, resolve } from "node:path"
import type { Config } from "./config.ts"
import { connectionOptions, hostUrls, isLocal } from "./database-url.ts"
import { type Env, isOfKubernetes } from "./readers.ts"

/** Random keys have more. Of those with 32 hexadecimal digits one in ten thousand has fewer. */
const DISTINCT_CHARACTERS = 10

const isGuessable = ({ SECRET_KEY }: Config) =>
  SECRET_KEY !== undefined && new Set(SECRET_KEY).size < DISTINCT_CHARACTERS

const takesForeignTokens = ({ JWT_ISSUER, JWT_AUDIENCE }: Config) =>
  JWT_ISSUER !== undefined && JWT_AUDIENCE === undefined

const fetchesKeysInTheClear = ({ JWKS_URL }: Config) => {
  if (JWKS_URL === undefined) return false
  const { protocol, hostname } = new URL(JWKS_URL)
  return protocol === "http:" && !isLocal(hostname.replace(/^\[|\]$/g, ""))
}

const trustsEverybody = ({ TRUSTED_PROXIES }: Config) =>
  TRUSTED_PROXIES.some((network) => /\/0+$/.test(network))

const trustsAnyDatabase = ({ DATABASE_URL }: Config) => {
  if (DATABASE_URL === undefined) return false
  return hostUrls(DATABASE_URL)
    .map(connectionOptions)
    .some(({ host, sslmode }) => !sslmode.startsWith("verify") && !isLocal(host))
}

const mailsInTheClear = ({ SMTP_URL }: Config) => {
  if (SMTP_URL === undefined) return false
  const { protocol, hostname, searchParams } = new URL(SMTP_URL)
  const isForced = searchParams.get("requireTLS") === "true"
  return protocol === "smtp:" && !isForced && !isLocal(hostname.replace(/^\[|\]$/g, ""))
}

const WORLD_WRITABLE = 0o002
/** The sticky bit: only the owner of an entry may rename it. */
const STICKY = 0o1000

/** Whoever may write to a directory above DATA_DIR can replace it by another one. */
const mayBeReplaced = ({ DATABASE_URL, DATA_DIR }: Config) => {
  if (DATABASE_URL !== undefined) return false
  for (let path = resolve(DATA_DIR); path !== dirname(path); path = dirname(path)) {
    const { mode } = statSync(dirname(path), { throwIfNoEntry: false }) ?? { mode: 0 }
    if (mode & WORLD_WRITABLE && !(mode & STICKY)) return true
  }
  return false
}

const isSetByKubernetes = (_: Config, env: Env) => isOfKubernetes(env["METRICS_PORT"])

/** Somebody who names a host for psql may think that the service goes there, too. */
const namesUnusedHost = ({ DATABASE_URL }: Config, env: Env) =>
  DATABASE_URL === undefined && Boolean(env["PGHOST"])

/** Each connection takes one. Whoever opens as many without a request takes them all. */
const FEW_DESCRIPTORS = 4_096

/** The hard limit, which Bun makes its own. */
const hasFewDescriptors = () => {
  try {
    const limits = readFileSync("/proc/self/limits", "utf8")
    return Number(/^Max open files\s+\d+\s+(\d+)/m.exec(limits)?.[1]) < FEW_DESCRIPTORS
  } catch {
    // Only Linux has the file.
    return false
  }
}

type Weakness = [isWeak: (config: Config, env: Env) => boolean, warning: string]

const WEAKNESSES: Weakness[] = [
  [
    isSetByKubernetes,
    "METRICS_PORT is ignored: Kubernetes set it for a service that is called metrics",
  ],
  [
    namesUnusedHost,
    "PGHOST is ignored without DATABASE_URL, and the embedded database is used: postgres:// uses it",
  ],
  [isGuessable, "SECRET_KEY has few distinct characters: whoever guesses it signs tokens"],
  [
    takesForeignTokens,
    "JWT_AUDIENCE is not set: tokens that JWT_ISSUER gave for other services are taken, too",
  ],
  [
    fetchesKeysInTheClear,
    "JWKS_URL is fetched from another machine without TLS: whoever is in between signs tokens",
  ],
  [
    trustsEverybody,
    "TRUSTED_PROXIES are everybody: any client can claim any address, and escapes the throttle",
  ],
  [
    trustsAnyDatabase,
    "DATABASE_URL names another machine, and does not check who answers: sslmode=verify-full does",
  ],
  [
    mailsInTheClear,
    "SMTP_URL names another machine, and takes it without TLS: smtps:// or requireTLS=true do not",
  ],
  [
    mayBeReplaced,
    "DATA_DIR lies below a directory that everybody may write to: whoever does can replace it",
  ],
  [
    hasFewDescriptors,
    `Fewer than ${FEW_DESCRIPTORS} files may be open, and each connection is one: raise the limit (ulimit -n)`,
  ],
]

/** The warnings for the operator. None contains a value, which may be a secret. */
export const warningsOf = (config: Config, env: Env): string[] =>
  WEAKNESSES.filter(([isWeak]) => isWeak(config, env)).map(([, warning]) => warning)
