/** Entity tags and the conditions that name them: RFC 9110, sections 8.8.3 and 13.1. */

/** Strong: a version stands for exactly one representation. */
export const entityTag = (version: number) => `"${version}"`

/** The version of what was just created. */
export const FIRST_VERSION = 1

const TAG = /(?:W\/)?"[!#-~\x80-\xff]*"/g
/** Each comma matches in one way at most: otherwise a long list would take quadratic time to fail. */
const LIST = new RegExp(`^[\\t ,]*(?:${TAG.source}(?:[\\t ]*,[\\t ,]*${TAG.source})*[\\t ,]*)?$`)
const STRONG_VERSION = /^"([1-9]\d{0,15})"$/

/** A tag may hold commas, so splitting will not do. A malformed list names no tag at all. */
const listed = (header: string): string[] => (LIST.test(header) && header.match(TAG)) || []

const opaque = (tag: string) => tag.replace(/^W\//, "")

/** RFC 9110, section 13.1.2: If-None-Match compares weakly, and `*` matches whatever is there. */
export const matchesWeakly = (ifNoneMatch: string | null, tag: string): boolean =>
  ifNoneMatch !== null &&
  (ifNoneMatch.trim() === "*" || listed(ifNoneMatch).some((known) => opaque(known) === opaque(tag)))

/**
 * RFC 9110, section 13.1.1: the versions that an If-Match names by strong tags. Undefined where any
 * version will do: there is no such header, or it is `*`.
 */
export const expectedVersions = (ifMatch: string | null): number[] | undefined =>
  ifMatch === null || ifMatch.trim() === "*"
    ? undefined
    : listed(ifMatch)
        .flatMap((tag) => STRONG_VERSION.exec(tag)?.[1] ?? [])
        .map(Number)
