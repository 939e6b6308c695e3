// Attacks that go on until they are stopped, at a fixed rate: the same load on a node and on a sink.

import { once } from 'node:events'
import { connect } from 'node:net'
import { DATA, drained, OPEN, times, WINDOW } from '../../__test__/support/bad-input.ts'
import { frameBytes, line, MULTISTREAM, RawPeer } from '../../__test__/support/raw-peer.ts'
import { ECHO_PROTOCOL, UNREAD_PROTOCOL } from '../../__test__/support/stand.ts'
import { FLOODS, STAGES } from './attacks.mjs'

const TICK_MS = 10
/** A flooder whose session was closed tries again this often per second. */
const RETRIES_PER_S = 100
/** Maximum number of records that wait for a remote to read. */
const QUEUED_MAX = 20
/** One-byte frames of a record. */
const DRIBBLE = 4_000

/** Addresses of 127.0.0.0/8, each a host of its own. */
export function hosts(count) {
  return times(count, (index) => `127.1.${index >> 8}.${(index & 255) + 1}`)
}

/** An attack on a port. It ends with `stop`, which closes all of its connections. */
export class Assault {
  sockets = new Set()
  isStopped = false

  constructor(port) {
    this.port = port
  }

  stop() {
    this.isStopped = true
    for (const socket of this.sockets) socket.resetAndDestroy()
  }

  /** Calls `act` at a rate until the end, or until `isOver`; what is overdue is made up for. */
  async paced(perSecond, act, isOver = () => false) {
    const started = performance.now()
    const goesOn = () => !this.isStopped && !isOver()
    for (let done = 0; goesOn(); ) {
      const due = ((performance.now() - started) * perSecond) / 1_000
      for (; done < due && goesOn(); done += 1) act(done)
      await new Promise((resolve) => setTimeout(resolve, TICK_MS))
    }
  }

  /** Begins a connection. */
  open(localAddress) {
    const socket = connect({ port: this.port, host: '127.0.0.1', localAddress })
    this.sockets.add(socket)
    socket.once('close', () => this.sockets.delete(socket))
    return new RawPeer(socket)
  }

  /** Opens sessions from a host, one at a time; `use` rejects or resolves to end each. */
  async sessions(host, use) {
    let busy = false
    await this.paced(RETRIES_PER_S, async () => {
      if (busy) return
      busy = true
      const peer = this.open(host)
      await connected(peer)
        .then(() => peer.dial())
        .then((session) => use(peer, session))
        .catch(() => {})
      peer.socket.destroy()
      busy = false
    })
  }

  /** Sends a record of `frames(n)` at a rate on a session, and begins another when it ends. */
  async flood(perSecond, frames, { reads = true } = {}) {
    await this.sessions('127.0.0.2', async (peer, session) => {
      if (reads) peer.socket.resume()
      session.send({ ...OPEN, id: 1 })
      let queue = Promise.resolve()
      let queued = 0
      const send = async (count) => {
        const plaintext = Buffer.concat(frames(count).map(frameBytes))
        const hasRoom = peer.socket.destroyed || peer.socket.write(session.record(plaintext))
        if (!hasRoom) await drained(peer)
        queued -= 1
      }
      const isOver = () => peer.socket.destroyed
      await this.paced(
        perSecond,
        (count) => {
          // The remote reads more slowly: what is due is lost.
          if (queued === QUEUED_MAX) return
          queued += 1
          queue = queue.then(() => send(count))
        },
        isOver
      )
    })
  }
}

function connected(peer) {
  return Promise.race([
    once(peer.socket, 'connect'),
    peer.closed.then(() => Promise.reject(new Error('refused')))
  ])
}

/** Frames that open a stream, by default of the protocol that is never read. */
function opening(id, protocol = UNREAD_PROTOCOL) {
  const body = Buffer.concat([line(MULTISTREAM), line(protocol)])
  return [
    { ...OPEN, id },
    { type: DATA, id, body }
  ]
}

/** By name. Each resolves when it is stopped. */
export const ASSAULTS = {
  /** Connections of few hosts or many, which are held. */
  connects: (assault, { count, perSecond }) => {
    const from = hosts(count)
    return assault.paced(perSecond, (index) => void assault.open(from[index % count]))
  },

  /** Connections that are reset as soon as they are established. */
  resets: (assault, { count, perSecond }) => {
    const from = hosts(count)
    return assault.paced(perSecond, (index) => {
      const peer = assault.open(from[index % count])
      peer.socket.once('connect', () => peer.socket.resetAndDestroy())
    })
  },

  /** Connections of many hosts that stall at a stage of the upgrade; one that ends is replaced. */
  stalls: (assault, { stage, held, perSecond }) => {
    const from = hosts(held >> 2)
    return assault.paced(perSecond, (index) => {
      if (assault.sockets.size >= held) return
      const peer = assault.open(from[index % from.length])
      connected(peer)
        .then(() => STAGES[stage](peer))
        .catch(() => {})
    })
  },

  /** Complete connections of one host, closed at once. */
  reconnects: (assault, { perSecond }) =>
    assault.paced(perSecond, () => {
      const peer = assault.open('127.0.0.2')
      connected(peer)
        .then(() => peer.dial())
        .catch(() => {})
        .finally(() => peer.socket.destroy())
    }),

  /** Frames of one kind on one session. */
  frames: (assault, { kind, perSecond }) =>
    assault.flood(perSecond, FLOODS[kind], { reads: kind !== 'ping' }),

  /** Frames of one byte on many streams that nobody reads, up to a window each. */
  dribble: (assault, { streams, perSecond }) =>
    assault.flood(perSecond, (count) => {
      const rounds = Math.floor((WINDOW - 100) / DRIBBLE)
      // The streams of a generation are filled in turn, then come others.
      const generation = Math.floor(count / (streams * rounds))
      const index = count % streams
      const id = (generation * streams + index) * 2 + 3
      const isFirst = count % (streams * rounds) < streams
      const bytes = times(DRIBBLE, () => ({ type: DATA, id, body: Buffer.of(7) }))
      return isFirst ? [...opening(id), ...bytes] : bytes
    }),

  /** Windows of bytes on streams that nobody reads. */
  hoard: (assault, { perSecond }) =>
    assault.flood(perSecond, (count) => {
      const records = 4
      const id = Math.floor(count / records) * 2 + 3
      const body = Buffer.alloc(60_000, 7)
      const bytes = { type: DATA, id, body }
      return count % records === 0 ? [...opening(id), bytes] : [bytes]
    }),

  /** Windows of bytes on streams that are echoed, while the echoes are not read. */
  echoes: (assault, { perSecond }) =>
    assault.flood(
      perSecond,
      (count) => {
        const records = 4
        const id = Math.floor(count / records) * 2 + 3
        const bytes = { type: DATA, id, body: Buffer.alloc(60_000, 7) }
        return count % records === 0 ? [...opening(id, ECHO_PROTOCOL), bytes] : [bytes]
      },
      { reads: false }
    ),

  /** Sessions of many hosts, each with a frame whose body never comes. */
  headers: (assault, { held, perSecond }) => {
    const from = hosts(held)
    return assault.paced(perSecond, (index) => {
      if (assault.sockets.size >= held) return
      const peer = assault.open(from[index % from.length])
      connected(peer)
        .then(() => peer.dial())
        .then((session) => session.send(OPEN, { type: DATA, id: 1, length: 200_000 }))
        .catch(() => {})
    })
  }
}
