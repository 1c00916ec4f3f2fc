/** Files that are read as they are: the import is their path, also inside the binary. */
declare module "*.fingerprints" {
  const path: string
  export default path
}
