/** A UDP proxy between one dialer and a listener, which a test makes lossy, slow or hostile, or moves to other ports. */
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import type { ExecutionContext } from 'ava'

/** What becomes of a datagram; a number is the milliseconds after which it is delivered. */
export type Fate = 'deliver' | 'drop' | 'repeat' | 'delay' | number

export interface UdpProxy {
  /** Where dialers send to. */
  readonly port: number
  /** Datagrams of the dialer, in order, as far as they are recorded. */
  readonly sent: readonly Buffer[]
  /** The same of the listener. */
  readonly answers: readonly Buffer[]
  /** Decides on each datagram from now on, in both directions. */
  treat(fate: () => Fate): void
  /** Changes each datagram from now on, in both directions. */
  alter(change: (bytes: Buffer) => Buffer): void
  /** Sends what follows to the listener from another port, as a NAT does that has forgotten the dialer. */
  rebind(): Promise<void>
}

const HOST = '127.0.0.1'

/** Enough for others to overtake a datagram. */
const DELAY_MS = 5

async function bound(): Promise<Socket> {
  const socket = createSocket('udp4')
  socket.bind(0, HOST)
  await once(socket, 'listening')
  return socket
}

/** Starts a proxy in front of a listener's port; it is closed when the test ends. Records the first datagrams of each direction. */
export async function udpProxy(
  t: ExecutionContext,
  target: number,
  { recorded = 64 }: { recorded?: number } = {}
): Promise<UdpProxy> {
  const front = await bound()
  let back = await bound()
  let dialer = 0
  let fate: () => Fate = () => 'deliver'
  let change = (bytes: Buffer): Buffer => bytes
  const sent: Buffer[] = []
  const answers: Buffer[] = []
  const sockets = [front, back]
  let isOver = false
  t.teardown(() => {
    isOver = true
    for (const socket of sockets) socket.close()
  })
  const pass = (bytes: Buffer, record: Buffer[], from: () => Socket, to: () => number): void => {
    if (record.length < recorded) record.push(bytes)
    const next = fate()
    if (next === 'drop') return
    const send = (): void => {
      if (!isOver) from().send(change(bytes), to(), HOST)
    }
    if (next === 'delay') setTimeout(send, DELAY_MS)
    else if (typeof next === 'number') setTimeout(send, next)
    else send()
    if (next === 'repeat') send()
  }
  const answerTo = (socket: Socket): void => {
    socket.on('message', (bytes) =>
      pass(
        bytes,
        answers,
        () => front,
        () => dialer
      )
    )
  }
  answerTo(back)
  front.on('message', (bytes, { port }) => {
    dialer = port
    pass(
      bytes,
      sent,
      () => back,
      () => target
    )
  })
  return {
    port: front.address().port,
    sent,
    answers,
    treat(next) {
      fate = next
    },
    alter(next) {
      change = next
    },
    async rebind() {
      back = await bound()
      sockets.push(back)
      answerTo(back)
    }
  }
}
