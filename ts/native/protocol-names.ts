/** Maps protocol names to the numbers used by native calls. */
import type { Native } from './addon.ts'
import { thrownByNative } from './command-error.ts'
import type { StreamHandle } from './handles.ts'
import { PREDICATES_FROM } from './record.ts'

/**
 * Number of unserved names kept, the most recently used; up to twice as many. Bounded, as an application may use a new
 * name for every call.
 */
export const DIALLED_NAMES_KEPT = 512

interface Known {
  readonly name: string
  readonly id: number
  /** Argument of `open` for this protocol alone. */
  readonly proposals: Uint32Array
  /** References by handler tables and pending negotiations; kept while above 0. */
  references: number
}

/** Names and numbers of protocols. A number is valid while its name is served, and until evicted otherwise. */
export class ProtocolNames {
  readonly #native: Native
  readonly #attachment: number
  // Two generations: a name used from the older one moves to the recent one. When that is full, it becomes the older
  // one, and the names left in the previous older one are evicted.
  #recent = new Map<string, Known>()
  #older = new Map<string, Known>()
  readonly #names = new Map<number, string>()

  constructor(native: Native, attachment: number) {
    this.#native = native
    this.#attachment = attachment
  }

  /** Returns the number of a protocol; throws `InvalidParametersError` for an invalid name. */
  id(name: string): number {
    return this.#known(name).id
  }

  /** Returns the number of a protocol and keeps it until {@link ProtocolNames.release}. Reference-counted. */
  keep(name: string): number {
    const known = this.#known(name)
    known.references += 1
    return known.id
  }

  /** The counterpart of {@link ProtocolNames.keep}. */
  release(name: string): void {
    this.#known(name).references -= 1
  }

  /** Returns the protocol of an inbound stream by the number in its record; undefined for 0, a raw stream. */
  of(stream: StreamHandle, id: number): string | undefined {
    // Names chosen by peers are not interned.
    return id >= PREDICATES_FROM
      ? this.#native.queriedProtocol(this.#attachment, stream)
      : this.name(id)
  }

  /** Returns the name of a number; undefined for 0. */
  name(id: number): string | undefined {
    return id === 0
      ? undefined
      : (this.#names.get(id) ?? this.#native.protocolName(this.#attachment, id))
  }

  /** Returns the argument of `open` for these protocols. */
  proposals(protocols: string | readonly string[]): Uint32Array {
    if (typeof protocols === 'string') return this.#known(protocols).proposals
    return Uint32Array.from(protocols, (name) => this.id(name))
  }

  #known(name: string): Known {
    const known = this.#recent.get(name)
    if (known !== undefined) return known
    const entry = this.#older.get(name) ?? this.#intern(name)
    this.#older.delete(name)
    this.#recent.set(name, entry)
    if (this.#recent.size > DIALLED_NAMES_KEPT) this.#evict()
    return entry
  }

  #intern(name: string): Known {
    let id: number
    try {
      id = this.#native.internProtocol(this.#attachment, name)
    } catch (err) {
      throw thrownByNative(err)
    }
    this.#names.set(id, name)
    return { name, id, proposals: Uint32Array.of(id), references: 0 }
  }

  #evict(): void {
    const unused = this.#older
    this.#older = this.#recent
    this.#recent = new Map()
    for (const known of unused.values()) {
      if (known.references > 0) {
        this.#older.set(known.name, known)
      } else {
        this.#names.delete(known.id)
        this.#native.forgetProtocol(this.#attachment, known.id)
      }
    }
  }
}
