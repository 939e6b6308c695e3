/** What has happened in a simulation: the latest events, and a hash of them all. */
const { createHash } = process.getBuiltinModule('node:crypto')

/** Kinds of {@link TraceEvent}. */
export type TraceEventName =
  | 'started'
  | 'stopped'
  | 'crashed'
  | 'partitioned'
  | 'healed'
  | 'dialled'
  | 'refused'
  | 'accepted'
  | 'lost'
  | 'received'
  | 'connected'
  | 'disconnected'
  | 'openedStream'
  | 'closedStream'

/** An event of a simulation. */
export interface TraceEvent {
  /** Milliseconds of virtual time since the simulation began. */
  readonly at: number
  /**
   * What has happened: `dialled`, `refused`, `accepted`, `lost` and `received` (a packet) on the network; `connected` to
   * `closedStream` as the swarm of `node` has notified it.
   */
  readonly event: TraceEventName
  /** The name of the node; that of the first of each group for `partitioned`, empty for `healed`. */
  readonly node: string
  /** The name of the node at the other end, or the address if there is none; empty if the event has none. */
  readonly remote: string
  /** Bytes of a packet, or the protocol of a stream; empty if the event has none. */
  readonly detail: number | string
}

/** @internal The trace of one simulation. */
export class Trace {
  readonly #hash = createHash('sha256')
  readonly #max: number
  // A ring: from `#next` on are the oldest.
  readonly #events: TraceEvent[] = []
  #next = 0

  /** Keeps the latest `max` events. */
  constructor(max: number) {
    this.#max = max
  }

  add(event: TraceEvent): void {
    this.#hash.update(`${event.at} ${event.event} ${event.node} ${event.remote} ${event.detail}\n`)
    if (this.#max === 0) return
    this.#events[this.#next] = event
    this.#next = (this.#next + 1) % this.#max
  }

  /** Returns the latest events, oldest first, as a copy. */
  latest(): TraceEvent[] {
    const from = this.#events.length < this.#max ? 0 : this.#next
    return [...this.#events.slice(from), ...this.#events.slice(0, from)]
  }

  /** The hash of all events so far, in hexadecimal. */
  get hash(): string {
    return this.#hash.copy().digest('hex')
  }
}
