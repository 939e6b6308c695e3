/** Which transport of a swarm takes an address. */
import type { Multiaddr } from '@multiformats/multiaddr'
import type { OnFailure } from '../base/events.ts'
import { multiaddrOf } from '../identity/address.ts'
import { placeOfText } from '../identity/parsed-address.ts'
import type { Transport } from './transport.ts'

/** The transports of a swarm: `tcp` is native, the others are the application's. The first that takes an address has it. */
export class Transports {
  readonly #list: readonly ('tcp' | Transport)[]
  readonly #onFailure: OnFailure
  /** Whether there are no transports but native ones. */
  readonly isNative: boolean

  constructor(list: readonly ('tcp' | Transport)[], onFailure: OnFailure) {
    this.#list = list
    this.#onFailure = onFailure
    this.isNative = list.every((each) => each === 'tcp')
  }

  /** Returns the transport that dials an address; undefined if none does. */
  dialling(address: string): 'tcp' | Transport | undefined {
    return this.#find(address, (transport, addr) => transport.canDial(addr))
  }

  /** Returns the transport that listens on an address; undefined if none does. */
  listening(address: string): 'tcp' | Transport | undefined {
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
      if (transport !== undefined && transport !== 'tcp') found.set(address, transport)
    }
    return found
  }

  #find(
    address: string,
    takes: (transport: Transport, addr: Multiaddr) => boolean
  ): 'tcp' | Transport | undefined {
    const addr = multiaddrOf(address)
    return this.#list.find((transport) => {
      if (transport === 'tcp') return placeOfText(address) !== undefined
      try {
        return takes(transport, addr) === true
      } catch (err) {
        this.#onFailure(err, transport, 'a transport failed to tell whether it takes an address')
        return false
      }
    })
  }
}
