/** The transport of simulated nodes: dials take a round trip, and fail as those of TCP do. */
import type { Multiaddr } from '@multiformats/multiaddr'
import { tcpPlaceOf } from '../identity/transport-forms.ts'
import type {
  Opened,
  Transport,
  TransportConn,
  TransportDialOptions,
  TransportListener
} from '../transport/transport.ts'
import { type ConnHost, connect } from './conn.ts'
import type { Path } from './link.ts'

/** The first of the ports that are given to diallers, and to listeners at port 0, as by IANA. */
const EPHEMERAL_FROM = 49_152
const PORTS = 65_536

/** Fewer than there are ephemeral ports, so that one is always free. */
const LISTENERS_MAX = 1_024

/** A node, as its transport sees it. */
export interface Station {
  readonly name: string
  /** Its IP address. */
  readonly host: string
  /** Its peer id, as text. */
  readonly peer: string
  /** Whether it runs. */
  readonly isUp: boolean
}

/** The network, as transports see it. */
export interface Places extends ConnHost {
  /** Returns the direction from one node to another; without a second one, to an address that nobody has. */
  path(from: Station, to: Station | undefined): Path
  /** Returns the node with an IP address. */
  at(host: string): SimulatedTransport | undefined
  dialled(from: Station, address: string): void
  refused(from: Station, address: string): void
  accepted(by: Station, from: Station): void
}

type Accept = (opened: Opened, remoteAddr?: string) => void

/** The transport of one node: every address of TCP is one of the simulated network. */
export class SimulatedTransport implements Transport {
  readonly station: Station
  readonly #places: Places
  readonly #listeners = new Map<number, Accept>()
  #lastPort = EPHEMERAL_FROM - 1

  constructor(station: Station, places: Places) {
    this.station = station
    this.#places = places
  }

  canDial(addr: Multiaddr): boolean {
    return tcpPlaceOf(addr.toString()) !== undefined
  }

  dial(addr: Multiaddr, { signal }: Pick<TransportDialOptions, 'signal'>): Promise<TransportConn> {
    const { station } = this
    const places = this.#places
    const address = addr.toString()
    places.dialled(station, address)
    return new Promise((resolve, reject) => {
      // Of a dial that nobody answers this is the only end.
      signal.addEventListener('abort', () => reject(signal.reason), { once: true })
      // Asked for addresses that it takes.
      const { host = '', port = 0 } = tcpPlaceOf(address) ?? {}
      const target = places.at(host)
      const there = places.path(station, target?.station)
      const back = target === undefined ? there : places.path(target.station, station)
      const isReset = there.failsDial()
      const refuse = (code: 'ECONNREFUSED' | 'ECONNRESET', message: string): void => {
        const err = Object.assign(new Error(message), { code })
        this.#send(back, () => {
          places.refused(station, address)
          reject(err)
        })
      }
      this.#send(there, () => {
        const accept = target?.listener(port)
        if (target === undefined || accept === undefined) {
          refuse('ECONNREFUSED', 'nobody listens at this address of the simulated network')
        } else if (isReset) {
          refuse('ECONNRESET', 'the simulated network has reset the connection')
        } else if (!signal.aborted) {
          // Else it was given up on its way: there is nobody to answer.
          const local = `/ip4/${station.host}/tcp/${this.#nextPort()}`
          const { dialled, accepted } = connect(
            places,
            {
              dialler: { ...this.#party, address: local },
              listener: { ...target.#party, address }
            },
            { there, back }
          )
          // Before whatever the listener sends, such as a refusal.
          accepted.write(0, () => {
            if (signal.aborted) void dialled.close()
            else resolve(dialled)
          })
          places.accepted(target.station, station)
          accept(accepted, local)
        }
      })
    })
  }

  listen(addr: Multiaddr, onOpened: Accept): TransportListener {
    const { host, port } = tcpPlaceOf(addr.toString()) ?? {}
    if (host !== this.station.host || port === undefined) {
      const message = `${addr} is not an address of this node, which has ${this.station.host}`
      throw Object.assign(new Error(message), { code: 'EADDRNOTAVAIL' })
    }
    if (this.#listeners.size >= LISTENERS_MAX) {
      const message = `a simulated node listens at ${LISTENERS_MAX} addresses at most`
      throw Object.assign(new Error(message), { code: 'EMFILE' })
    }
    const bound = port === 0 ? this.#nextPort() : port
    if (this.#listeners.has(bound)) {
      throw Object.assign(new Error(`${addr} is in use`), { code: 'EADDRINUSE' })
    }
    this.#listeners.set(bound, onOpened)
    return {
      addresses: [`/ip4/${host}/tcp/${bound}`],
      close: () => {
        // Not that of a swarm which has been started since.
        if (this.#listeners.get(bound) === onOpened) this.#listeners.delete(bound)
      }
    }
  }

  /** Returns who listens at a port. */
  listener(port: number): Accept | undefined {
    return this.#listeners.get(port)
  }

  /** Listens no more, as a process that has ended. */
  stop(): void {
    this.#listeners.clear()
  }

  get #party(): { readonly name: string; readonly peer: string } {
    const { name, peer } = this.station
    return { name, peer }
  }

  /** Returns a port that nobody listens at; those of diallers are told apart by the remote's address too. */
  #nextPort(): number {
    do {
      this.#lastPort += 1
      if (this.#lastPort === PORTS) this.#lastPort = EPHEMERAL_FROM
    } while (this.#listeners.has(this.#lastPort))
    return this.#lastPort
  }

  /** Sends a packet without a connection, which a partition loses. */
  #send(path: Path, then: () => void): void {
    const { clock } = this.#places
    if (path.isCut) return
    clock.at(path.arrival(clock.now(), 0), () => {
      if (!path.isCut) then()
    })
  }
}
