/** The duplex below a connection whose bytes are carried here, as the connection sees it. */
export interface CarriedConnection {
  /** The error of the duplex, if it has failed. */
  readonly failure: Error | undefined
  /** Whether the duplex is limited in time or bytes. */
  readonly isLimited: boolean
  /** Returns the addresses of the duplex, as text. */
  addresses(): { readonly remote: string; readonly local: string }
  /** Called when the connection has ended. */
  connectionEnded(isOrderly: boolean): void
}
