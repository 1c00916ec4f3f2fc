/** Entity tags and the conditions that name them: RFC 9110, sections 8.8.3 and 13.1. */

/** A strong tag: a version has exactly one representation. */
export const entityTag = (version: number) => `"${version}"`

/** The version of what was just created. */
export const FIRST_VERSION = 1

const TAG = /(?:W\/)?"[!#-~\x80-\xff]*"/g
/** Each comma can match in only one way: otherwise a long list would fail in quadratic time. */
const LIST = new RegExp(`^[\\t ,]*(?:${TAG.source}(?:[\\t ]*,[\\t ,]*${TAG.source})*[\\t ,]*)?$`)
/** Characters: hundreds of tags. A longer list names none, which refuses a write, and answers a read in full. */
const LONGEST = 4_096

/** Not split at commas, because tags may contain them. A malformed list names no tags. */
const listed = (header: string): string[] =>
  (header.length <= LONGEST && LIST.test(header) && header.match(TAG)) || []

/**
 * Proxies that compress make a tag weak (nginx), or put the coding behind it (Apache, Caddy). It stands for the same
 * version, which has one representation, compressed or not.
 */
const original = (tag: string) => tag.replace(/^W\/|(?:-gzip|-br|-zstd)(?="$)/g, "")

/** RFC 9110, section 13.1.2: If-None-Match compares weakly, and `*` matches any tag. */
export const matchesWeakly = (ifNoneMatch: string | null, tag: string): boolean => {
  if (ifNoneMatch === null) return false
  if (ifNoneMatch === tag || ifNoneMatch.trim() === "*") return true
  const wanted = original(tag)
  return listed(ifNoneMatch).some((known) => original(known) === wanted)
}

/**
 * RFC 9110, section 13.1.1: the versions that an If-Match names. Undefined if any version will do: without
 * the header, and with `*`.
 */
export const expectedVersions = (ifMatch: string | null): number[] | undefined =>
  ifMatch === null || ifMatch.trim() === "*"
    ? undefined
    : listed(ifMatch)
        .flatMap((tag) => /^"([1-9]\d{0,15})"$/.exec(original(tag))?.[1] ?? [])
        .map(Number)
