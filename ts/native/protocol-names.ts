/** Protocols by the numbers that cross the boundary. */
import type { Native } from './addon.ts'
import { thrownByNative } from './command-error.ts'
import { PREDICATES_FROM } from './record.ts'

/** Names and numbers of protocols; a number is good for as long as the environment. */
export class ProtocolNames {
  readonly #native: Native
  readonly #ids = new Map<string, number>()
  readonly #names = new Map<number, string>()
  readonly #proposals = new Map<string, Uint32Array>()

  constructor(native: Native) {
    this.#native = native
  }

  /** The number of a protocol; throws `InvalidParametersError` for a name that cannot be one. */
  id(name: string): number {
    let id = this.#ids.get(name)
    if (id === undefined) {
      try {
        id = this.#native.internProtocol(name)
      } catch (err) {
        throw thrownByNative(err)
      }
      this.#ids.set(name, id)
      this.#names.set(id, name)
    }
    return id
  }

  /** The protocol of an inbound stream by the number it was announced with; undefined for 0, a raw stream. */
  of(stream: number, id: number): string | undefined {
    // Names that peers make up are not kept.
    return id >= PREDICATES_FROM ? this.#native.askedProtocol(stream) : this.name(id)
  }

  /** The name of a number; undefined for 0. */
  name(id: number): string | undefined {
    if (id === 0) return undefined
    let name = this.#names.get(id)
    if (name === undefined) {
      name = this.#native.protocolName(id)
      this.#names.set(id, name)
    }
    return name
  }

  /** What `open` takes for these protocols; that of a single one is kept. */
  proposals(protocols: string | readonly string[]): Uint32Array {
    if (typeof protocols !== 'string') {
      return Uint32Array.from(protocols, (name) => this.id(name))
    }
    let proposals = this.#proposals.get(protocols)
    if (proposals === undefined) {
      proposals = Uint32Array.of(this.id(protocols))
      this.#proposals.set(protocols, proposals)
    }
    return proposals
  }
}
