/**
 * The resolution of one address: lookups, the recursion of `/dnsaddr`, and its bounds.
 *
 * What a name stands for is chosen by whoever controls it, so everything is bounded by call: depth, lookups, entries and
 * results. What is left out is logged.
 */
import { abortable, aborted, isAborted } from '../base/abort.ts'
import { misuse } from '../base/arguments.ts'
import type { Clock } from '../base/clock.ts'
import type { Logger } from '../diagnostics/logger.ts'
import { DnsError, type ErrorCode, InternalError, StateError } from '../errors.ts'
import { printable, reasonOf } from '../text/printable.ts'
import { entriesOf, type Skipped } from './dnsaddr.ts'
import {
  atHost,
  type Components,
  componentsOf,
  type NamedAddress,
  namedAddress,
  textOf
} from './named-address.ts'
import type { DnsRecords } from './records.ts'

// Not imported: importing the package must not load avoidable Node.js modules.
const { isIP } = process.getBuiltinModule('node:net')

/** Names of `/dnsaddr` that may lead to each other, as in go-libp2p. */
const DEPTH_MAX = 4

/** Addresses that one call resolves to, as in go-libp2p, and that one name contributes. */
const RESULTS_MAX = 100

/** Addresses that one call makes of names and their IP addresses, before duplicates collapse. */
const CANDIDATES_MAX = 1_000

/** Lookups of one call: one for each result, if every one had a name of its own. */
const LOOKUPS_MAX = 100

/** Entries of `/dnsaddr` that one call parses. */
const ENTRIES_MAX = 1_000

/** Reasons that an error lists. */
const REASONS_MAX = 16

/** Time that the other names have once one has an address: a silent name server must not delay a dial. */
const OTHERS_MS = 1_000

/** What a resolution uses. */
export interface ResolutionHost {
  readonly records: DnsRecords
  readonly clock: Clock
  readonly log: Pick<Logger, 'debug' | 'warn'>
}

/** The state of one call. */
export class Resolution {
  readonly #host: ResolutionHost
  readonly #named: NamedAddress
  readonly #peer: string | undefined
  readonly #caller: AbortSignal | undefined
  readonly #stop = new AbortController()
  readonly #lookups = new Map<string, Promise<readonly string[]>>()
  /** By message. */
  readonly #failures = new Map<string, DnsError>()
  readonly #cuts = new Set<string>()
  #entries = 0
  #candidates = 0
  #timer: unknown

  /** Throws `InvalidParametersError` if `peer` is not that of the address, which begins with a name. */
  constructor(
    host: ResolutionHost,
    address: string,
    peer: string | undefined,
    signal: AbortSignal | undefined
  ) {
    const named = namedAddress(componentsOf(address))
    if (named === undefined) throw new InternalError(`${address} has no name`)
    if (peer !== undefined && named.beyond.length === 0 && (named.peer ?? peer) !== peer) {
      throw misuse('peer', `that of the address, ${named.peer}`, peer)
    }
    this.#host = host
    this.#named = named
    this.#peer = peer
    this.#caller = signal
  }

  /** Resolves to addresses as text. Rejects with `DnsError` if there are none. */
  async run(): Promise<string[]> {
    const named = this.#named
    try {
      const resolved = await abortable(this.#resolve(named, [], this.#peer), this.#caller)
      const found = [...new Set(resolved.map(textOf))]
      if (found.length === 0) throw this.#nothing(named)
      if (found.length > RESULTS_MAX) {
        const beyond = found.length - RESULTS_MAX
        this.#host.log.warn(
          `${named.hostname}: ${beyond} addresses are left out, beyond ${RESULTS_MAX}`
        )
      }
      return found.slice(0, RESULTS_MAX)
    } finally {
      this.#host.clock.clearTimer(this.#timer)
      // Of a call that has ended early, by its signal or by the end of the swarm.
      this.#stop.abort()
    }
  }

  /** Resolves a name; `path` has the names of `/dnsaddr` that have led to it. */
  #resolve(
    named: NamedAddress,
    path: readonly string[],
    peer: string | undefined
  ): Promise<Components[]> {
    return named.protocol === 'dnsaddr'
      ? this.#resolveEntries(named, path, peer)
      : this.#resolveHost(named)
  }

  /** Resolves `/dns`, `/dns4` and `/dns6`. */
  async #resolveHost(named: NamedAddress): Promise<Components[]> {
    const { protocol, hostname } = named
    const families =
      protocol === 'dns' ? ([6, 4] as const) : ([protocol === 'dns4' ? 4 : 6] as const)
    const literal = isIP(hostname)
    if (literal !== 0) {
      if (families.some((family) => family === literal)) return [atHost(hostname, named)]
      this.#fail(hostname, 'ERR_DNS_NO_RECORDS', `it is an IPv${literal} address`)
      return []
    }
    const addresses = await Promise.all(
      families.map((family) =>
        this.#lookup(`${hostname} IPv${family}`, hostname, async (options) => {
          const { records } = this.#host
          const found = checked(await records.addresses(hostname, family, options), 'addresses')
          if (found.length > 0) this.#hurry()
          if (found.length > RESULTS_MAX) {
            this.#cut(hostname, `it has more than ${RESULTS_MAX} addresses`)
          }
          return found.slice(0, RESULTS_MAX).filter((address) => isIP(address) === family)
        })
      )
    )
    const all = addresses.flat()
    const left = CANDIDATES_MAX - this.#candidates
    this.#candidates += Math.min(all.length, left)
    if (all.length > left) {
      this.#cut(hostname, `its addresses are left out, beyond ${CANDIDATES_MAX} in all`)
    }
    return all.slice(0, left).map((address) => atHost(address, named))
  }

  /** Resolves `/dnsaddr`. */
  async #resolveEntries(
    named: NamedAddress,
    path: readonly string[],
    peer: string | undefined
  ): Promise<Components[]> {
    const hostname = `_dnsaddr.${named.hostname}`
    const name = named.hostname.toLowerCase()
    if (path.includes(name)) {
      this.#fail(hostname, 'ERR_DNS_FAILURE', 'an entry leads back to it')
      return []
    }
    if (path.length >= DEPTH_MAX) {
      this.#cut(hostname, `it is more than ${DEPTH_MAX} names deep`)
      return []
    }
    const texts = await this.#lookup(`${hostname} TXT`, hostname, async (options) =>
      checked(await this.#host.records.texts(hostname, options), 'texts')
    )
    // A peer beyond a relay is not that of the relay's name.
    const wanted = named.peer ?? (named.beyond.length === 0 ? peer : undefined)
    const { entries, skipped } = entriesOf(this.#parsed(hostname, texts), named, wanted)
    this.#skip(hostname, skipped)
    const resolved = entries.map(async (entry): Promise<Components[]> => {
      const next = namedAddress(entry)
      if (next !== undefined) return this.#resolve(next, [...path, name], wanted)
      this.#hurry()
      return [entry]
    })
    return (await Promise.all(resolved)).flat()
  }

  /** Returns the texts that are parsed, of those of a name. */
  #parsed(hostname: string, texts: readonly string[]): readonly string[] {
    const left = ENTRIES_MAX - this.#entries
    this.#entries += Math.min(texts.length, left)
    if (texts.length > left) {
      this.#cut(hostname, `there are more than ${ENTRIES_MAX} entries`)
    }
    return texts.slice(0, left)
  }

  /** Looks up records, once for each `key`; a failure is noted and gives none. */
  #lookup(
    key: string,
    hostname: string,
    find: (options: { signal: AbortSignal }) => Promise<readonly string[]>
  ): Promise<readonly string[]> {
    const normal = key.toLowerCase()
    const earlier = this.#lookups.get(normal)
    if (earlier !== undefined) return earlier
    if (this.#lookups.size >= LOOKUPS_MAX) {
      this.#cut(hostname, `it is not looked up after ${LOOKUPS_MAX} other lookups`)
      return Promise.resolve([])
    }
    const lookup = this.#find(hostname, find)
    this.#lookups.set(normal, lookup)
    return lookup
  }

  async #find(
    hostname: string,
    find: (options: { signal: AbortSignal }) => Promise<readonly string[]>
  ): Promise<readonly string[]> {
    const { signal } = this.#stop
    try {
      return await abortable(find({ signal }), signal)
    } catch (err) {
      if (isAborted(this.#caller)) throw aborted(this.#caller)
      // The swarm is closed, or not started.
      if (err instanceof StateError) throw err
      if (signal.aborted) this.#fail(hostname, 'ERR_DNS_TIMEOUT', 'others have answered before')
      else if (err instanceof DnsError) this.#note(err)
      else this.#fail(hostname, 'ERR_DNS_FAILURE', reasonOf(err), err)
      return []
    }
  }

  /** Gives the lookups under way a last time limit, as there is an address. */
  #hurry(): void {
    this.#timer ??= this.#host.clock.setTimer(() => this.#stop.abort(), OTHERS_MS)
  }

  #skip(hostname: string, skipped: readonly Skipped[]): void {
    for (const { text, reason } of skipped) {
      this.#fail(hostname, 'ERR_DNS_NO_RECORDS', reason, undefined, text)
    }
  }

  #fail(hostname: string, code: ErrorCode, reason: string, cause?: unknown, text?: string): void {
    const message = printable(`${hostname}: ${reason}`)
    this.#note(new DnsError(message, { hostname, code, cause }), text)
  }

  /** Notes that a bound cuts the resolution at a name; warns of the first one. */
  #cut(hostname: string, reason: string): void {
    if (this.#cuts.has(reason)) return
    this.#cuts.add(reason)
    this.#host.log.warn(printable(`${hostname}: ${reason}`))
    this.#fail(hostname, 'ERR_DNS_FAILURE', reason)
  }

  /** Notes a reason why there may be no address. The same one is kept once. */
  #note(error: DnsError, text?: string): void {
    const entry = text === undefined ? '' : `: ${text}`
    this.#host.log.debug(printable(`${error.message}${entry}`))
    this.#failures.set(error.message, error)
  }

  #nothing({ protocol, hostname }: NamedAddress): DnsError {
    const failures = [...this.#failures.values()]
    const [first, ...others] = failures
    if (first !== undefined && others.length === 0) return first
    const errors = failures.slice(0, REASONS_MAX)
    const reasons = errors.map(({ message }) => message)
    if (failures.length > REASONS_MAX) reasons.push(`and ${failures.length - REASONS_MAX} more`)
    const why = reasons.length === 0 ? 'it has no entries' : reasons.join('; ')
    const message = `/${protocol}/${hostname} has no address: ${why}`
    return new DnsError(message, { hostname, code: codeOf(failures), cause: first, errors })
  }
}

/** Returns what a source has found. It may be JavaScript, so that may be anything. */
function checked(found: unknown, name: keyof DnsRecords): readonly string[] {
  if (Array.isArray(found) && found.every((text) => typeof text === 'string')) return found
  throw misuse(`the result of records.${name}`, 'a list of strings', found)
}

/** Returns the code of several failures: theirs, if it is the same. */
function codeOf([first, ...others]: readonly DnsError[]): ErrorCode {
  if (first === undefined) return 'ERR_DNS_NO_RECORDS'
  return others.every(({ code }) => code === first.code) ? first.code : 'ERR_DNS_FAILURE'
}
