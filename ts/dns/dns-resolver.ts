/** Name resolution of addresses. */
import type { Multiaddr } from '@multiformats/multiaddr'
import { aborted, isAborted } from '../base/abort.ts'
import {
  anObject,
  anything,
  aSignal,
  checkOptions,
  misuse,
  type OptionChecks,
  objectWith
} from '../base/arguments.ts'
import { type Clock, systemClock } from '../base/clock.ts'
import { lazyModule } from '../base/lazy-module.ts'
import { Log } from '../diagnostics/log.ts'
import type { Logger } from '../diagnostics/logger.ts'
import { type AddrLike, multiaddrOf } from '../identity/address.ts'
import { parseAddress } from '../identity/parsed-address.ts'
import { peerText } from '../identity/peer-id.ts'
import { withFrames } from '../native/command-error.ts'
import type { DnsRecords, DnsResolverLike, ResolveOptions } from './records.ts'
import type { ResolutionHost } from './resolution.ts'

// Many programs dial IP addresses alone.
const loadResolution = lazyModule<typeof import('./resolution.ts')>(import.meta.url, './resolution')

/** Options of {@link DnsResolver}. */
export interface DnsResolverOptions {
  /** Looks up the records. */
  records: DnsRecords
  /** Receives what is left out, at `debug`, and what exceeds a bound, at `warn`. Defaults to no logging. */
  logger?: Partial<Logger>
  /** Clock, for tests. */
  clock?: Clock
}

const RESOLVER_CHECKS: OptionChecks<DnsResolverOptions> = {
  records: objectWith('addresses', 'texts'),
  logger: anObject,
  clock: objectWith('now', 'setTimer', 'clearTimer')
}

const RESOLVE_CHECKS: OptionChecks<ResolveOptions> = {
  signal: aSignal,
  // Parsed with the address.
  peer: anything
}

const WITH_NAME = /^\/dns(?:4|6|addr)?\//

/**
 * Resolves names in addresses: `/dns`, `/dns4`, `/dns6` by A and AAAA records, `/dnsaddr` by TXT records. That of a swarm
 * is `swarm.dnsResolver`; the option `dns` replaces it. See docs/dns.md.
 *
 * @example
 * ```ts
 * import { DnsResolver } from 'ferroswarm'
 *
 * const resolver = new DnsResolver({
 *   records: { addresses: async () => ['192.0.2.1'], texts: async () => [] }
 * })
 * console.log(await resolver.resolve('/dns4/example.org/tcp/4001'))
 * ```
 */
export class DnsResolver implements DnsResolverLike {
  readonly #host: ResolutionHost

  /** @throws {@link InvalidParametersError} for an invalid option. */
  constructor(options: DnsResolverOptions) {
    checkOptions(options, RESOLVER_CHECKS)
    const { records, logger, clock = systemClock } = options ?? {}
    if (records === undefined) throw misuse('records', 'a source of records', records)
    // Without the variable DEBUG: the logger of a swarm heeds it.
    const log = new Log(logger, '')
    this.#host = {
      records,
      clock,
      log: {
        debug: (message) => void log.write('debug', 'dns', message),
        warn: (message) => void log.write('warn', 'dns', message)
      }
    }
  }

  /**
   * Resolves to the addresses that `addr` stands for, at most 100, without duplicates. What follows a name is kept, and
   * the name itself as SNI of a WebSocket over TLS. An address without a name resolves to itself.
   *
   * Entries of `/dnsaddr` are resolved to a depth of 4. Those of another peer, and those that do not end as `addr` does,
   * are skipped. A failed lookup fails the call only if there is no address at all; once there is one, the remaining
   * lookups have 1 s.
   *
   * @throws {@link DnsError} if there is no address; `errors` has the reasons.
   * @throws {@link AbortError} by `signal`.
   * @throws {@link StateError} if it is that of a swarm which is not started, or closed.
   * @throws {@link InvalidParametersError} for a malformed address or an invalid option.
   * @example
   * ```ts
   * for (const address of await swarm.dnsResolver.resolve('/dnsaddr/bootstrap.libp2p.io')) {
   *   console.log(`${address}`)
   * }
   * ```
   */
  resolve(addr: AddrLike, options?: ResolveOptions): Promise<Multiaddr[]> {
    checkOptions(options, RESOLVE_CHECKS)
    const text = checked(addr)
    const peer = options?.peer === undefined ? undefined : peerText(options.peer)
    const signal = options?.signal
    if (isAborted(signal)) return Promise.reject(aborted(signal))
    if (!WITH_NAME.test(text)) return Promise.resolve([multiaddrOf(text)])
    const site: { stack?: string } = {}
    Error.captureStackTrace(site, this.resolve)
    const { Resolution } = loadResolution()
    return new Resolution(this.#host, text, peer, signal).run().then(
      (found) => found.map(multiaddrOf),
      (err) => Promise.reject(err instanceof Error ? withFrames(err, site) : err)
    )
  }
}

/** Returns the text of an address. Throws `InvalidParametersError` if it is malformed. */
function checked(addr: AddrLike): string {
  parseAddress(addr)
  return addr.toString()
}
