/** The lists of a swarm: hosts that are allowed, and hosts that are denied. The native side enforces them. */
import type { AbortOptions } from '../base/abort.ts'
import {
  ABORT_OPTIONS,
  aBoolean,
  areOptions,
  checkOptions,
  type OptionChecks
} from '../base/arguments.ts'
import type { DnsResolverLike } from '../dns/records.ts'
import { DnsError, InvalidParametersError } from '../errors.ts'
import { type AddrLike, multiaddrOf } from '../identity/address.ts'
import { parseHosts } from '../identity/networks.ts'
import { judgedHostsOf, parseAddress } from '../identity/parsed-address.ts'
import type { NativeGate } from '../native/addon.ts'
import { GateList } from '../native/record.ts'

// Not imported: importing the package must not load avoidable Node.js modules.
const { isIP } = process.getBuiltinModule('node:net')

/** An IP address, a network in CIDR notation, or a multiaddr of one, such as `/ip4/10.0.0.0/ipcidr/8`. */
export type GateEntry = AddrLike

/** Options of {@link ConnectionGate.allow} and {@link ConnectionGate.deny}. */
export interface GateOptions {
  /**
   * Close the open connections that the lists refuse now, with the code `ConnectionErrorCode.Gated`; the rule is in their
   * `closeReason`. Defaults to false: they stay open.
   */
  closeOpen?: boolean | undefined
}

/** What the lists say of an address. */
export interface GateExplanation {
  /** Whether they allow it. */
  readonly allowed: boolean
  /** The rule that refuses it: `deny 10.0.0.0/8`, or `not in the allow list`; empty if it is allowed. */
  readonly rule: string
  /** The IP address that the rule refuses, or the one of the address or of its relay; undefined if it has none. */
  readonly host: string | undefined
}

/** @internal The dependencies of the lists. */
export interface ConnectionGateHost {
  /** Returns the resolver of names. */
  dns(): DnsResolverLike
  /** Closes the open connections that the lists refuse. */
  closeRefused(): void
}

type Entries = GateEntry | readonly GateEntry[]
type Arguments = readonly (Entries | GateOptions)[]

/** Maximum number of entries of a list: as many as `LIST_MAX` of the native side. */
const LIST_MAX = 1_000_000

const CHECKS: OptionChecks<GateOptions> = { closeOpen: aBoolean }

/**
 * The lists of IP addresses and networks that decide who may connect, and who is dialled: `swarm.connectionGate`.
 *
 * A host on the deny list is refused. If the allow list has entries, every other host is refused too, and so is an
 * address without an IP address. Remotes are refused before a byte is exchanged, also while this thread is busy. Changes
 * take effect at once; connections that are open stay open, unless `closeOpen` is set. A list holds up to 1,000,000
 * entries; as each change takes time in their number, many are better passed in one call, as an array. See
 * docs/gating.md.
 *
 * @example
 * ```ts
 * swarm.connectionGate.deny('192.0.2.0/24', '2001:db8::/32', { closeOpen: true })
 * console.log(swarm.connectionGate.denied)
 * ```
 */
export class ConnectionGate {
  readonly #native: NativeGate
  readonly #host: ConnectionGateHost
  #hasRules = false

  /** @internal Made by the swarm. */
  constructor(native: NativeGate, host: ConnectionGateHost) {
    this.#native = native
    this.#host = host
  }

  /** @internal Whether a list has, or had, an entry. */
  get hasRules(): boolean {
    return this.#hasRules
  }

  /** The entries of the allow list in canonical form, each once: IPv4 first, small networks before large ones. A copy. */
  get allowed(): string[] {
    return this.#native.networks(GateList.allow)
  }

  /** The entries of the deny list, as {@link ConnectionGate.allowed}. */
  get denied(): string[] {
    return this.#native.networks(GateList.deny)
  }

  /**
   * Adds entries to the allow list: all, or none if it throws.
   *
   * @throws {@link InvalidParametersError} for an entry that is no IP address or network, which it names, for an invalid
   * option, or if the list would have more than 1,000,000 entries.
   */
  allow(...entries: Entries[]): void
  /** Adds entries to the allow list, with options. */
  allow(...args: [...entries: Entries[], options: GateOptions]): void
  allow(...args: (Entries | GateOptions)[]): void {
    this.#add('allow', args)
  }

  /**
   * Adds entries to the deny list, as {@link ConnectionGate.allow} does to the other one.
   *
   * @throws {@link InvalidParametersError} as {@link ConnectionGate.allow} does.
   */
  deny(...entries: Entries[]): void
  /** Adds entries to the deny list, with options. */
  deny(...args: [...entries: Entries[], options: GateOptions]): void
  deny(...args: (Entries | GateOptions)[]): void {
    this.#add('deny', args)
  }

  /**
   * Removes entries from the allow list; returns how many it had. An entry is the one that was added, not a part of it.
   * Once the list is empty, it refuses nobody.
   *
   * @throws {@link InvalidParametersError} for an entry that is no IP address or network.
   */
  removeAllowed(...entries: Entries[]): number {
    return this.#native.remove(GateList.allow, networksOf('allow', entries))
  }

  /**
   * Removes entries from the deny list; returns how many it had.
   *
   * @throws {@link InvalidParametersError} for an entry that is no IP address or network.
   */
  removeDenied(...entries: Entries[]): number {
    return this.#native.remove(GateList.deny, networksOf('deny', entries))
  }

  /**
   * Resolves to whether the lists allow an address: a multiaddr or an IP address. A name is resolved; all of its
   * addresses must be allowed. One that cannot be resolved is judged as an address without an IP address.
   *
   * @throws {@link InvalidParametersError} for an invalid address or option.
   * @throws {@link StateError} for a name if the swarm is not started, {@link AbortError} by `signal`.
   */
  async isAllowed(addr: AddrLike, options?: AbortOptions): Promise<boolean> {
    return (await this.explain(addr, options)).allowed
  }

  /**
   * Resolves to what the lists say of an address, with the rule that refuses it.
   *
   * @throws {@link InvalidParametersError} for an invalid address or option.
   * @throws {@link StateError} for a name if the swarm is not started, {@link AbortError} by `signal`.
   */
  async explain(addr: AddrLike, options?: AbortOptions): Promise<GateExplanation> {
    checkOptions(options, ABORT_OPTIONS)
    if (typeof addr === 'string' && isIP(addr) !== 0) return this.#judge([addr.split('%', 1)[0]])
    const { text } = parseAddress(addr)
    if (!text.startsWith('/dns')) return this.#judge(judgedHostsOf(text))
    return this.#judge(await this.#hostsOf(addr.toString(), options))
  }

  /** Returns the hosts of a name; none is one without an IP address. */
  async #hostsOf(
    address: string,
    options: AbortOptions = {}
  ): Promise<readonly (string | undefined)[]> {
    try {
      const found = await this.#host.dns().resolve(multiaddrOf(address), options)
      return found.length === 0
        ? [undefined]
        : found.flatMap((each) => judgedHostsOf(each.toString()))
    } catch (err) {
      if (err instanceof DnsError) return [undefined]
      throw err
    }
  }

  #judge(hosts: readonly (string | undefined)[]): GateExplanation {
    for (const host of hosts) {
      const rule = this.#native.ruleOf(host)
      if (rule !== null) return Object.freeze({ allowed: false, rule, host })
    }
    return Object.freeze({ allowed: true, rule: '', host: hosts[0] })
  }

  #add(list: keyof typeof GateList, args: Arguments): void {
    const last = args.at(-1)
    const options = areGateOptions(last) ? last : undefined
    checkOptions(options, CHECKS)
    const networks = networksOf(list, options === undefined ? args : args.slice(0, -1))
    if (networks.length > 0) {
      if (!this.#native.add(GateList[list], networks)) {
        throw new InvalidParametersError(
          `expected the ${list} list to have at most ${LIST_MAX} entries`
        )
      }
      this.#hasRules = true
    }
    if (options?.closeOpen === true) this.#host.closeRefused()
  }
}

/** Returns the networks of entries; throws `InvalidParametersError` that names the first invalid one. */
function networksOf(list: string, args: Arguments): string[] {
  return args.flat().map((entry) => parseHosts(entry, `an entry to ${list}`))
}

/** Returns whether `value` is options: an address may be a plain object too. */
function areGateOptions(value: Entries | GateOptions | undefined): value is GateOptions {
  return areOptions(value) && !('getComponents' in value)
}
