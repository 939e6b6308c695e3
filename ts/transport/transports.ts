/** Which transport of a swarm takes an address. */
import type { Multiaddr } from '@multiformats/multiaddr'
import type { OnFailure } from '../base/events.ts'
import type { NativeTransportName } from '../constants.ts'
import type { DialOptions } from '../dial/options.ts'
import { multiaddrOf } from '../identity/address.ts'
import { dialRefusal, parseAddress } from '../identity/parsed-address.ts'
import { namedText, placeOfText, type Refusal } from '../identity/transport-forms.ts'
import { PRIVATE, type TransportChoice } from './choice.ts'
import type { Transport } from './transport.ts'

/** What decides how a swarm uses the transports of its list. */
export interface TransportsContext {
  /** Whether the swarm is in a private network. Defaults to false. */
  readonly isPrivate?: boolean
  /** Whether TLS is among its security protocols. Defaults to true. */
  readonly hasTls?: boolean
  /** Transports that stand in for native ones of the list. Defaults to none. */
  readonly standIns?: ReadonlyMap<TransportChoice, Transport>
}

const QUIC_IS_TLS: Refusal = Object.freeze({
  reason: 'quic is secured by TLS, and the option security of the call has no tls',
  hint: 'add tls, or use an address of another transport'
})

const NO_STAND_INS: ReadonlyMap<TransportChoice, Transport> = new Map()

/** The transports of a swarm: native ones by name, and those of the application. The first that takes an address has it. */
export class Transports {
  readonly #list: readonly TransportChoice[]
  /** The native ones that are named, and those of them that have no stand-in. */
  readonly #named: ReadonlySet<TransportChoice>
  readonly #native: ReadonlySet<TransportChoice>
  readonly #onFailure: OnFailure
  readonly #isPrivate: boolean
  readonly #hasTls: boolean
  /** Whether there are no transports but native ones. */
  readonly isNative: boolean

  constructor(
    list: readonly TransportChoice[],
    onFailure: OnFailure,
    { isPrivate = false, hasTls = true, standIns = NO_STAND_INS }: TransportsContext = {}
  ) {
    this.#list = list.map((each) => standIns.get(each) ?? each)
    this.#named = new Set(list.filter((each) => typeof each === 'string'))
    this.#native = new Set(this.#list.filter((each) => typeof each === 'string'))
    this.#onFailure = onFailure
    this.#isPrivate = isPrivate
    this.#hasTls = hasTls
    this.isNative = this.#native.size === list.length
  }

  /** Returns the transport that dials an address; undefined if none does. */
  dialling(address: string): TransportChoice | undefined {
    return this.#find(address, (transport, addr) => transport.canDial(addr))
  }

  /** Returns the transport that listens on an address; undefined if none does. */
  listening(address: string): TransportChoice | undefined {
    return this.#find(address, (transport, addr) => {
      if (transport.listen === undefined) return false
      return transport.canListen?.(addr) ?? transport.canDial(addr)
    })
  }

  /** Returns the transports of the application by the addresses that they dial. */
  ofApplication(addresses: readonly string[]): ReadonlyMap<string, Transport> {
    const found = new Map<string, Transport>()
    for (const address of addresses) {
      const transport = this.dialling(address)
      if (typeof transport === 'object') found.set(address, transport)
    }
    return found
  }

  /**
   * Returns why the swarm does not dial an address that none of the application's transports takes: its transport is not
   * enabled, the stand-in of that does not take it, or the call accepts no `security` of it. Undefined otherwise, and for
   * an address of no native transport.
   */
  refusalOf(
    address: string,
    { security }: Pick<DialOptions, 'security'> = {}
  ): Refusal | undefined {
    // What a name stands for may be an address for a transport of the application.
    const place = placeOfText(address) ?? (this.isNative ? namedText(address) : undefined)
    const transport = place?.transport
    if (transport === undefined) return undefined
    if (this.#native.has(transport)) {
      const isRefused = transport === 'quic' && security?.includes('tls') === false
      return isRefused ? QUIC_IS_TLS : undefined
    }
    // The native transport must not dial what its stand-in leaves to it.
    const isTaken = this.#named.has(transport)
    return (isTaken ? dialRefusal(parseAddress(address)) : undefined) ?? this.#notEnabled(transport)
  }

  #notEnabled(transport: NativeTransportName): Refusal {
    const reason = `${transport} is none of the transports of this swarm`
    if (this.#isPrivate && !PRIVATE.includes(transport)) {
      const hint = 'see the options psk and transports'
      return { reason: `${reason}, which is in a private network`, hint }
    }
    if (transport === 'quic' && !this.#hasTls) {
      const hint = 'see the options security and transports'
      return { reason: `${reason}, whose option security has no tls`, hint }
    }
    return { reason, hint: 'see the option transports' }
  }

  #find(
    address: string,
    takes: (transport: Transport, addr: Multiaddr) => boolean
  ): TransportChoice | undefined {
    const native = placeOfText(address)?.transport
    const addr = multiaddrOf(address)
    return this.#list.find((transport) => {
      if (typeof transport === 'string') return transport === native
      try {
        return takes(transport, addr) === true
      } catch (err) {
        this.#onFailure(err, transport, 'a transport failed to tell whether it takes an address')
        return false
      }
    })
  }
}
