/** An error that the operator has to mend before the service can start. Exit code 78. */
export class ConfigError extends Error {
  override name = "ConfigError"
}
