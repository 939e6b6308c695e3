/** Keeps the native table of protocols equal to the registrar's handlers. */

import type { NativeNode } from '../native/addon.ts'
import type { Engine, Served } from '../native/engine.ts'
import { PREDICATES_FROM } from '../native/record.ts'
import type { Components } from './components.ts'

/** Inbound streams of a protocol per connection, unless its handler says otherwise, as in libp2p. */
export const INBOUND_STREAMS_MAX = 32

/** The handlers of one node. */
export class Handlers {
  readonly #components: Components
  readonly #engine: Engine
  readonly #node: NativeNode
  #served = new Set<string>()
  // The registrar announces a change by an update of the node's own entry in the peer store.
  readonly #update = (): void => this.#write()

  constructor(components: Components, engine: Engine, node: NativeNode) {
    this.#components = components
    this.#engine = engine
    this.#node = node
    components.events.addEventListener('self:peer:update', this.#update)
    this.#write()
  }

  /** Whether the table has a protocol; a handler that is being registered may be missing. */
  has(protocol: string): boolean {
    return this.#served.has(protocol)
  }

  /** Returns the handler of a protocol that is not in the table; undefined if the registrar has none. */
  serve(protocol: string): Served | undefined {
    const inboundMax = this.#inboundMax(protocol)
    return inboundMax === undefined ? undefined : { protocol: PREDICATES_FROM, inboundMax }
  }

  /** Stops following the registrar. */
  stop(): void {
    this.#components.events.removeEventListener('self:peer:update', this.#update)
    for (const name of this.#served) this.#engine.protocols.release(name)
    this.#served.clear()
  }

  #write(): void {
    const { protocols } = this.#engine
    const before = this.#served
    const entries: { protocol: number; inboundMax: number; service: number }[] = []
    const served = new Set<string>()
    for (const name of this.#components.registrar.getProtocols()) {
      const inboundMax = this.#inboundMax(name)
      if (inboundMax === undefined) continue
      entries.push({ protocol: protocols.keep(name), inboundMax, service: 0 })
      served.add(name)
    }
    this.#served = served
    this.#node.setHandlers(entries, true)
    for (const name of before) protocols.release(name)
  }

  #inboundMax(protocol: string): number | undefined {
    try {
      const { options } = this.#components.registrar.getHandler(protocol)
      return options.maxInboundStreams ?? INBOUND_STREAMS_MAX
    } catch {
      // It has none.
      return undefined
    }
  }
}
