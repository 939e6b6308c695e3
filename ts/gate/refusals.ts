/** Reports what the gate refuses: the event `refused`, and lines of the log. */
import type { PeerId } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { Clock } from '../base/clock.ts'
import type { Log } from '../diagnostics/log.ts'
import { multiaddrOf, NO_ADDRESS } from '../identity/address.ts'
import { peerIdOf } from '../identity/peer-id.ts'
import { printable } from '../text/printable.ts'
import type { GateStage } from './gater.ts'

/** A refusal of the gate. */
export interface RefusedDetail {
  /** The hook, or the moment at which the lists were consulted: `addrDial` for a dial, `accept` for a remote. */
  readonly stage: GateStage
  /** The side that has opened the connection, or would have. */
  readonly direction: 'inbound' | 'outbound'
  /** The peer, if it is known; that of an inbound connection is authenticated. */
  readonly peer: PeerId | undefined
  /** The address of the remote, if it is known. */
  readonly remoteAddr: Multiaddr | undefined
  /** The entry of a list, such as `deny 10.0.0.0/8`, `not in the allow list`, or the reason of the hook. */
  readonly rule: string
}

/** @internal What was refused, as text. */
export interface RefusedText {
  readonly direction: 'inbound' | 'outbound'
  /** Undefined, or empty, while it is not known. */
  readonly peer?: string | undefined
  readonly remoteAddress?: string | undefined
}

/** @internal The dependencies of the reports. */
export interface RefusalReportsHost {
  readonly clock: Clock
  readonly log: Log
  /** Returns whether the event has listeners. */
  isHeard(): boolean
  /** Emits the event. */
  emit(detail: RefusedDetail): void
}

/**
 * Reports of inbound refusals per second. As many as there are diagnostic facts: a remote that is refused may come again
 * at once.
 */
const INBOUND_MAX = 1_024
const INTERVAL_MS = 1_000

/** @internal The reports of one swarm. */
export class RefusalReports {
  readonly #host: RefusalReportsHost
  #since = Number.NEGATIVE_INFINITY
  #count = 0

  constructor(host: RefusalReportsHost) {
    this.#host = host
  }

  /** Reports a refusal to the log and to listeners. */
  refused(stage: GateStage, refused: RefusedText, rule: string): void {
    const { direction, peer = '', remoteAddress = '' } = refused
    if (direction === 'inbound' && !this.#admits()) return
    const { log } = this.#host
    if (log.hears('debug')) {
      const what = direction === 'inbound' ? 'a connection from' : 'a dial of'
      const who = peer === '' ? '' : ` of ${peer}`
      const line = `${what} ${remoteAddress}${who} was refused at ${stage}: ${printable(rule)}`
      log.write('debug', direction === 'inbound' ? 'listener' : 'dial', line)
    }
    this.emit(stage, refused, rule)
  }

  /** Reports a refusal to listeners alone. */
  emit(stage: GateStage, { direction, peer = '', remoteAddress = '' }: RefusedText, rule: string) {
    if (!this.#host.isHeard()) return
    const isKnown = remoteAddress !== '' && remoteAddress !== NO_ADDRESS
    const detail: RefusedDetail = {
      stage,
      direction,
      peer: peer === '' ? undefined : peerIdOf(peer),
      remoteAddr: isKnown ? multiaddrOf(remoteAddress) : undefined,
      rule
    }
    this.#host.emit(Object.freeze(detail))
  }

  /** Returns whether another report fits into this second. */
  #admits(): boolean {
    const now = this.#host.clock.now()
    // A clock that was set back also starts a new second.
    if (now < this.#since || now >= this.#since + INTERVAL_MS) {
      this.#since = now
      this.#count = 0
    }
    this.#count += 1
    return this.#count <= INBOUND_MAX
  }
}
