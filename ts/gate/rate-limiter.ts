/** The rates of inbound connections, for the application: `swarm.inboundRateLimiter`. */
import { integer, misuse, UINT32_MAX } from '../base/arguments.ts'
import { RateLimitError } from '../errors.ts'
import type { AddrLike } from '../identity/address.ts'
import { ipOf, parseAddress } from '../identity/parsed-address.ts'
import type { NativeRefusal, NativeResources } from '../native/addon.ts'

// Not imported: importing the package must not load avoidable Node.js modules.
const { isIP } = process.getBuiltinModule('node:net')

/** @internal The dependencies of the limiter. */
export interface RateLimiterHost {
  readonly resources: Pick<NativeResources, 'consume' | 'resetRates'>
  /** Returns the error of a refusal by a limit. */
  limitError(refusal: NativeRefusal): Error
}

const points: ReturnType<typeof integer> = integer(1, UINT32_MAX)

/**
 * The rates of inbound connections, `limits.rates`: 5 points a second for each IPv4 address and each IPv6 network of 56
 * bits, after a burst of 16, by default. Each inbound connection takes one point; the application may take more, such as
 * for requests that cost as much. Loopback, `limits.trustedSources` and the allowlist are exempt. See docs/gating.md.
 *
 * @example
 * ```ts
 * swarm.handle('/lookup/1.0.0', async (stream, connection) => {
 *   swarm.inboundRateLimiter.consume(connection.remoteAddr)
 *   await stream.write(await lookup())
 *   await stream.close()
 * })
 * ```
 */
export class InboundRateLimiter {
  readonly #host: RateLimiterHost

  /** @internal Made by the swarm. */
  constructor(host: RateLimiterHost) {
    this.#host = host
  }

  /**
   * Takes points of a host: an IP address, or a multiaddr with one.
   *
   * @throws {@link RateLimitError} if it has fewer points left; then it takes none.
   * @throws {@link InvalidParametersError} for a key without an IP address, or points that are not a whole number of 1 or
   * more.
   */
  consume(key: AddrLike, count = 1): void {
    const host = hostOf(key)
    points(count, 'points')
    const refused = this.#host.resources.consume(host, count)
    if (refused === null) return
    const { refusal, left } = refused
    const error = this.#host.limitError({ ...refusal, requested: count })
    if (!(error instanceof RateLimitError)) throw error
    const { message, scope, resource, limit, current, requested, option } = error
    throw new RateLimitError(message, {
      scope,
      resource,
      limit,
      current,
      requested,
      option,
      consumedPoints: refusal.current - left,
      remainingPoints: left
    })
  }

  /**
   * Gives a host all of its points back; without a key every host.
   *
   * @throws {@link InvalidParametersError} for a key without an IP address.
   */
  reset(key?: AddrLike): void {
    this.#host.resources.resetRates(key === undefined ? undefined : hostOf(key))
  }
}

function hostOf(key: AddrLike): string {
  if (typeof key === 'string' && isIP(key) !== 0) return key.split('%', 1)[0] ?? key
  const host = ipOf(parseAddress(key).text)
  if (host === undefined) throw misuse('the key', 'an IP address or an address with one', `${key}`)
  return host
}
