/** Protocols by the numbers that cross the boundary. */
import type { Native } from './addon.ts'
import { thrownByNative } from './command-error.ts'
import type { StreamHandle } from './handles.ts'
import { PREDICATES_FROM } from './record.ts'

/**
 * Names that are kept although nobody serves them: those that were used last, this many to twice as many. An
 * application may make names up, one for each call.
 */
export const DIALLED_NAMES_KEPT = 512

interface Known {
  readonly name: string
  readonly id: number
  /** What `open` takes for this protocol alone. */
  readonly proposals: Uint32Array
  /** Tables of handlers that have it: it stays. */
  tables: number
}

/** Names and numbers of protocols. A number is good while its name is served, and for a while otherwise. */
export class ProtocolNames {
  readonly #native: Native
  readonly #attachment: number
  // Whoever is not found among the recent ones is moved there; when those are many, they become the older ones, and
  // what was older and has not been used meanwhile is abandoned.
  #recent = new Map<string, Known>()
  #older = new Map<string, Known>()
  readonly #names = new Map<number, string>()

  constructor(native: Native, attachment: number) {
    this.#native = native
    this.#attachment = attachment
  }

  /** The number of a protocol; throws `InvalidParametersError` for a name that cannot be one. */
  id(name: string): number {
    return this.#known(name).id
  }

  /** The number of a protocol that is served from here on, until {@link ProtocolNames.release}. Counts. */
  keep(name: string): number {
    const known = this.#known(name)
    known.tables += 1
    return known.id
  }

  /** The counterpart of {@link ProtocolNames.keep}. */
  release(name: string): void {
    this.#known(name).tables -= 1
  }

  /** The protocol of an inbound stream by the number it was announced with; undefined for 0, a raw stream. */
  of(stream: StreamHandle, id: number): string | undefined {
    // Names that peers make up are not kept.
    return id >= PREDICATES_FROM
      ? this.#native.queriedProtocol(this.#attachment, stream)
      : this.name(id)
  }

  /** The name of a number; undefined for 0. */
  name(id: number): string | undefined {
    return id === 0
      ? undefined
      : (this.#names.get(id) ?? this.#native.protocolName(this.#attachment, id))
  }

  /** What `open` takes for these protocols. */
  proposals(protocols: string | readonly string[]): Uint32Array {
    if (typeof protocols === 'string') return this.#known(protocols).proposals
    return Uint32Array.from(protocols, (name) => this.id(name))
  }

  #known(name: string): Known {
    const known = this.#recent.get(name)
    if (known !== undefined) return known
    const again = this.#older.get(name) ?? this.#intern(name)
    this.#older.delete(name)
    this.#recent.set(name, again)
    if (this.#recent.size > DIALLED_NAMES_KEPT) this.#age()
    return again
  }

  #intern(name: string): Known {
    let id: number
    try {
      id = this.#native.internProtocol(this.#attachment, name)
    } catch (err) {
      throw thrownByNative(err)
    }
    this.#names.set(id, name)
    return { name, id, proposals: Uint32Array.of(id), tables: 0 }
  }

  #age(): void {
    const unused = this.#older
    this.#older = this.#recent
    this.#recent = new Map()
    for (const known of unused.values()) {
      if (known.tables > 0) {
        this.#older.set(known.name, known)
      } else {
        this.#names.delete(known.id)
        this.#native.forgetProtocol(this.#attachment, known.id)
      }
    }
  }
}
