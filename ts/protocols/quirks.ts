/** What other implementations cannot bear, told by the name that their software gives itself. */

/**
 * Software that bears the end of a stream before it has answered our proposal. js-libp2p loses an end that comes before
 * its handler listens, and names are the application's to choose: so it is those known to bear it that are listed, and
 * with everybody else the end waits for the answer.
 */
const BEARS_EARLY_FIN = /^(?:ferroswarm|go-libp2p|rust-libp2p|kubo|boxo)\//

/** Whether the software that calls itself `agent` takes the end of a stream whenever it comes. */
export function acceptsEarlyFin(agent: string | undefined): boolean {
  return agent !== undefined && BEARS_EARLY_FIN.test(agent)
}
