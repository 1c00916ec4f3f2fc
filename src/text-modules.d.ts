/** Files that are imported as text. */
declare module "*.sql" {
  const text: string
  export default text
}

/** Files that are read as they are: the import is their path, also inside the binary. */
declare module "*/standalone.js" {
  const path: string
  export default path
}

declare module "*.fingerprints" {
  const path: string
  export default path
}
