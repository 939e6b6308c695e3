/** One direction of a simulated connection: what is written at one point of time arrives as one packet, in order. */
import type { Path } from './link.ts'
import type { VirtualClock } from './virtual-clock.ts'

/** Bytes of a packet besides those of streams: the headers of TCP over IP. */
const HEADER_BYTES = 40

/** What a packet does when it arrives. */
type Message = () => void

interface Packet {
  readonly messages: Message[]
  bytes: number
}

/** The dependencies of the directions of connections. */
export interface HalfHost {
  readonly clock: VirtualClock
  /** Asks for a call of {@link Half.send} once the process has settled. */
  hasPacket(half: Half): void
  /** Records the arrival of a packet. */
  received(from: string, to: string, bytes: number): void
}

/**
 * The packets of one direction.
 *
 * Streams bound their bytes by windows. Packets that a partition holds back wait until it is healed, or until the
 * connection is lost for it.
 */
export class Half {
  readonly #host: HalfHost
  readonly #path: Path
  readonly #from: string
  readonly #to: string
  readonly #onStalled: () => void
  #open: Packet | undefined
  #held: Packet[] = []
  #lastArrival = 0
  #stall: unknown
  #isEnded = false

  /** `onStalled` is called when a partition has lasted for too long. */
  constructor(
    host: HalfHost,
    path: Path,
    { from, to }: { from: string; to: string },
    onStalled: () => void
  ) {
    this.#host = host
    this.#path = path
    this.#from = from
    this.#to = to
    this.#onStalled = onStalled
    path.add(this)
  }

  /** Adds a message to the packet of this point of time. */
  write(bytes: number, message: Message): void {
    if (this.#isEnded) return
    if (this.#open === undefined) {
      this.#open = { messages: [], bytes: HEADER_BYTES }
      this.#host.hasPacket(this)
    }
    this.#open.messages.push(message)
    this.#open.bytes += bytes
  }

  /** Sends the packet of this point of time. */
  send(): void {
    const packet = this.#open
    this.#open = undefined
    if (packet !== undefined) this.#send(packet)
  }

  /** Ends this direction: nothing arrives any more. */
  end(): void {
    this.#isEnded = true
    this.#open = undefined
    this.#held = []
    this.#path.remove(this)
    this.#host.clock.clearTimer(this.#stall)
  }

  cut(): void {
    this.#stall = this.#host.clock.setTimer(this.#onStalled, this.#path.link.stallTimeout)
  }

  heal(): void {
    this.#host.clock.clearTimer(this.#stall)
    for (const packet of this.#held.splice(0)) this.#send(packet)
  }

  #send(packet: Packet): void {
    if (this.#path.isCut) {
      this.#held.push(packet)
      return
    }
    const { clock } = this.#host
    const arrival = this.#path.arrival(clock.now(), packet.bytes)
    // No packet overtakes another, whatever its jitter.
    this.#lastArrival = Math.max(this.#lastArrival, arrival)
    clock.at(this.#lastArrival, () => this.#arrive(packet))
  }

  #arrive(packet: Packet): void {
    if (this.#isEnded) return
    if (this.#path.isCut) {
      // What a partition catches on its way is sent again after it.
      this.#held.push(packet)
      return
    }
    this.#host.received(this.#from, this.#to, packet.bytes)
    for (const message of packet.messages) message()
  }
}
