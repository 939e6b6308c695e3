/** A UDP proxy between one dialer and a listener, which a test makes lossy or moves to other ports. */
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import type { ExecutionContext } from 'ava'

/** What becomes of a datagram. */
export type Fate = 'deliver' | 'drop' | 'repeat' | 'delay'

export interface UdpProxy {
  /** Where dialers send to. */
  readonly port: number
  /** Datagrams of the dialer, in order, as far as they are recorded. */
  readonly sent: readonly Buffer[]
  /** The same of the listener. */
  readonly answers: readonly Buffer[]
  /** Decides on each datagram from now on, in both directions. */
  treat(fate: () => Fate): void
  /** Sends what follows to the listener from another port, as a NAT does that has forgotten the dialer. */
  rebind(): Promise<void>
}

/** Datagrams recorded in each direction. */
const RECORDED_MAX = 64

async function bound(): Promise<Socket> {
  const socket = createSocket('udp4')
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  return socket
}

/** Starts a proxy in front of a listener's port; it is closed when the test ends. */
export async function udpProxy(t: ExecutionContext, target: number): Promise<UdpProxy> {
  const front = await bound()
  let back = await bound()
  let dialer = 0
  let fate: () => Fate = () => 'deliver'
  const sent: Buffer[] = []
  const answers: Buffer[] = []
  const sockets = [front, back]
  t.teardown(() => {
    for (const socket of sockets) socket.close()
  })
  const pass = (send: () => void): void => {
    const next = fate()
    if (next === 'drop') return
    if (next === 'delay') {
      setTimeout(send, 5).unref()
      return
    }
    send()
    if (next === 'repeat') send()
  }
  const answerTo = (socket: Socket): void => {
    socket.on('message', (bytes) => {
      if (answers.length < RECORDED_MAX) answers.push(bytes)
      pass(() => front.send(bytes, dialer, '127.0.0.1'))
    })
  }
  answerTo(back)
  front.on('message', (bytes, { port }) => {
    dialer = port
    if (sent.length < RECORDED_MAX) sent.push(bytes)
    pass(() => back.send(bytes, target, '127.0.0.1'))
  })
  return {
    port: front.address().port,
    sent,
    answers,
    treat(next) {
      fate = next
    },
    async rebind() {
      back = await bound()
      sockets.push(back)
      answerTo(back)
    }
  }
}
