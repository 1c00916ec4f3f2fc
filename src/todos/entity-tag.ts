/** Entity tags and the conditions that name them: RFC 9110, sections 8.8.3 and 13.1. */

/** Strong: a version stands for exactly one representation. */
export const entityTag = (version: number) => `"${version}"`

/** RFC 9110, section 13.1.2: If-None-Match compares weakly, and `*` matches whatever is there. */
export const matchesWeakly = (header: string, version: number): boolean =>
  header.trim() === "*" ||
  header.split(",").some((tag) => tag.trim().replace(/^W\//, "") === entityTag(version))
