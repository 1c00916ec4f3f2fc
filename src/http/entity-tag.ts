/** Entity tags and the conditions that name them: RFC 9110, sections 8.8.3 and 13.1. */

/** A strong tag: a version has exactly one representation. */
export const entityTag = (version: number) => `"${version}"`

/** The version of what was just created. */
export const FIRST_VERSION = 1

const TAG = /(?:W\/)?"[!#-~\x80-\xff]*"/g
/** Each comma can match in only one way: otherwise a long list would fail in quadratic time. */
const LIST = new RegExp(`^[\\t ,]*(?:${TAG.source}(?:[\\t ]*,[\\t ,]*${TAG.source})*[\\t ,]*)?$`)
const VERSION = /^"([1-9]\d{0,15})"$/

/** Not split at commas, because tags may contain them. A malformed list names no tags. */
const listed = (header: string): string[] => (LIST.test(header) && header.match(TAG)) || []

/**
 * What a proxy that compresses makes of our tag (`W/"7"` in nginx, `"7-gzip"` in Apache) stands for the same
 * version: it has one representation, compressed or not.
 */
const original = (tag: string) => tag.replace(/^W\//, "").replace(/-(?:gzip|br|zstd)"$/, '"')

/** RFC 9110, section 13.1.2: If-None-Match compares weakly, and `*` matches any tag. */
export const matchesWeakly = (ifNoneMatch: string | null, tag: string): boolean =>
  ifNoneMatch !== null &&
  (ifNoneMatch.trim() === "*" ||
    listed(ifNoneMatch).some((known) => original(known) === original(tag)))

/**
 * RFC 9110, section 13.1.1: the versions that an If-Match names. Undefined if any version will do: without
 * the header, and with `*`.
 */
export const expectedVersions = (ifMatch: string | null): number[] | undefined =>
  ifMatch === null || ifMatch.trim() === "*"
    ? undefined
    : listed(ifMatch)
        .flatMap((tag) => VERSION.exec(original(tag))?.[1] ?? [])
        .map(Number)
