/** What the operator has to change before the service can start: exit code 78. */
export class ConfigError extends Error {
  override name = "ConfigError"
}
