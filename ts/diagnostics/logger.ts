/** Receives log messages; `console` implements it. See docs/diagnostics.md. */
export interface Logger {
  /** Called with events of interest in debugging. */
  debug(message: string, ...details: unknown[]): void
  /** Called with failures caused by a remote. */
  info(message: string, ...details: unknown[]): void
  /** Called when a limit was reached. */
  warn(message: string, ...details: unknown[]): void
  /** Called with failures that need the operator, such as errors of handlers. */
  error(message: string, ...details: unknown[]): void
}
