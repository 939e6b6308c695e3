/** Workarounds for other implementations, identified by their agent version. */

/**
 * Agents that accept the end of a stream before they have answered the protocol proposal. js-libp2p loses an end that
 * arrives before its handler listens, and applications choose their agent names: so this is an allowlist, and for all
 * other peers the end waits for the answer.
 */
const ACCEPTS_EARLY_FIN = /^(?:ferroswarm|go-libp2p|rust-libp2p|kubo|boxo)\//

/** Returns whether the peer with the agent version `agent` accepts an early end of a stream. */
export function acceptsEarlyFin(agent: string | undefined): boolean {
  return agent !== undefined && ACCEPTS_EARLY_FIN.test(agent)
}
