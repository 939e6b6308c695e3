/**
 * A peer on `node:net` and `node:crypto` alone, for input that a conforming one never sends: multistream lines, Noise,
 * yamux frames.
 */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import type { ExecutionContext } from 'ava'
import { Handshake, type Misconduct, open, type Split, seal, uint16, varint } from './raw-noise.ts'
import { serveSockets } from './sockets.ts'

/** Long enough for a busy machine; anything slower hangs. */
const CEILING_MS = 15_000
export const MULTISTREAM = '/multistream/1.0.0'

/** Encodes one line of multistream-select. */
export function line(text: string): Buffer {
  const body = Buffer.from(`${text}\n`)
  return Buffer.concat([varint(body.length), body])
}

/** Connects to `port` on loopback from an address there; the socket is destroyed when the test ends. */
export async function connectedSocket(
  t: Pick<ExecutionContext, 'teardown'>,
  port: number,
  localAddress: string
): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', localAddress })
  t.teardown(() => socket.destroy())
  await once(socket, 'connect')
  return socket
}

/** A socket with reads of an exact size. */
export class RawPeer {
  readonly socket: Socket
  /** Resolves when the other side has closed or reset the connection. */
  readonly closed: Promise<void>
  #received: Buffer = Buffer.alloc(0)

  constructor(socket: Socket) {
    this.socket = socket
    socket.setNoDelay(true)
    // A reset counts as a close; tests assert only that the socket closed.
    socket.on('error', () => {})
    this.closed = new Promise((resolve) => socket.once('close', () => resolve()))
  }

  /** Connects to `port` on loopback from an address there; the socket is destroyed when the test ends. */
  static async connect(
    t: Pick<ExecutionContext, 'teardown'>,
    port: number,
    localAddress = '127.0.0.1'
  ): Promise<RawPeer> {
    return new RawPeer(await connectedSocket(t, port, localAddress))
  }

  /** Accepts connections on loopback until the test ends; resolves to the address to dial. */
  static serve(t: ExecutionContext, take: (peer: RawPeer) => unknown): Promise<string> {
    return serveSockets(t, (socket) => {
      const peer = new RawPeer(socket)
      Promise.resolve(take(peer)).catch(() => socket.destroy())
    })
  }

  send(...bytes: readonly Uint8Array[]): void {
    this.socket.write(Buffer.concat(bytes))
  }

  /** Resolves to exactly `count` bytes; rejects if the connection closes first. */
  async take(count: number): Promise<Buffer> {
    while (this.#received.length < count) {
      const chunk = this.socket.read() as Buffer | null
      if (chunk !== null) {
        this.#received = Buffer.concat([this.#received, chunk])
        continue
      }
      const ended = this.closed.then(() => Promise.reject(new Error('the other side closed')))
      if (this.socket.readableEnded || this.socket.destroyed) await ended
      await Promise.race([once(this.socket, 'readable'), ended])
    }
    const taken = this.#received.subarray(0, count)
    this.#received = this.#received.subarray(count)
    return taken
  }

  /** Resolves to one line of multistream-select, which raw peers keep below 128 bytes. */
  async line(): Promise<string> {
    const [length] = await this.take(1)
    return (await this.take(length ?? 0)).subarray(0, -1).toString()
  }

  /** Resolves when the other side has closed; rejects after `ms`. Keeps reading, as the close requires it. */
  async closedWithin(ms = CEILING_MS): Promise<void> {
    this.socket.resume()
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`still open after ${ms} ms`)), ms)
    })
    await Promise.race([this.closed, late]).finally(() => clearTimeout(timer))
  }

  /** Negotiates up to a yamux session, as dialer. */
  async dial(misconduct: Misconduct = {}): Promise<RawSession> {
    this.send(line(MULTISTREAM), line('/noise'))
    await this.line()
    await this.line()
    return new RawSession(this, await new Handshake(this, misconduct).initiate())
  }

  /** Negotiates up to a yamux session, as listener. */
  async accept(misconduct: Misconduct = {}): Promise<RawSession> {
    this.send(line(MULTISTREAM))
    await this.line()
    let proposal = await this.line()
    for (; proposal !== '/noise'; proposal = await this.line()) this.send(line('na'))
    this.send(line(proposal))
    return new RawSession(this, await new Handshake(this, misconduct).respond())
  }
}

export const FrameType = { data: 0, windowUpdate: 1, ping: 2, goAway: 3 } as const
export const FrameFlags = { syn: 1, ack: 2, fin: 4, rst: 8 } as const

/** A yamux frame, valid or not; `length` defaults to the body's. */
export interface RawFrame {
  readonly version?: number
  readonly type: number
  readonly flags?: number
  readonly id?: number
  readonly length?: number
  readonly body?: Uint8Array
}

export function frameBytes(frame: RawFrame): Buffer {
  const header = Buffer.alloc(12)
  header[0] = frame.version ?? 0
  header[1] = frame.type
  header.writeUInt16BE(frame.flags ?? 0, 2)
  header.writeUInt32BE(frame.id ?? 0, 4)
  header.writeUInt32BE(frame.length ?? frame.body?.length ?? 0, 8)
  return Buffer.concat([header, frame.body ?? Buffer.alloc(0)])
}

/** Yamux over Noise, frame by frame, without validation. */
export class RawSession {
  readonly peer: RawPeer
  readonly #keys: Split
  #sent = 0
  #opened = 0
  #plaintext: Buffer = Buffer.alloc(0)

  constructor(peer: RawPeer, keys: Split) {
    this.peer = peer
    this.#keys = keys
  }

  /** Seals these bytes as one record without sending it. */
  record(plaintext: Buffer): Buffer {
    const sealed = seal(this.#keys.outbound, this.#sent, plaintext)
    this.#sent += 1
    return Buffer.concat([uint16(sealed.length), sealed])
  }

  /** Sends the frames in one record; returns whether the socket takes more. */
  send(...frames: readonly RawFrame[]): boolean {
    return this.peer.socket.write(this.record(Buffer.concat(frames.map(frameBytes))))
  }

  /** Resolves to the next frame of the other side. */
  async frame(): Promise<Required<RawFrame>> {
    const header = await this.#take(12)
    const [version, type] = header as unknown as [number, number]
    const length = header.readUInt32BE(8)
    const body = type === FrameType.data ? await this.#take(length) : Buffer.alloc(0)
    return {
      version,
      type,
      flags: header.readUInt16BE(2),
      id: header.readUInt32BE(4),
      length,
      body
    }
  }

  /** Resolves to the code of the other side's GoAway; skips all frames before it. */
  async goAway(): Promise<number> {
    for (;;) {
      const { type, length } = await this.frame()
      if (type === FrameType.goAway) return length
    }
  }

  async #take(count: number): Promise<Buffer> {
    while (this.#plaintext.length < count) {
      const record = await this.peer.take((await this.peer.take(2)).readUInt16BE())
      const plaintext = open(this.#keys.inbound, this.#opened, record)
      this.#opened += 1
      this.#plaintext = Buffer.concat([this.#plaintext, plaintext])
    }
    const taken = this.#plaintext.subarray(0, count)
    this.#plaintext = this.#plaintext.subarray(count)
    return taken
  }
}

/** Resolves to whether a host gets an answer; a refused one gets no byte before the close. */
export async function isAnswered(
  t: ExecutionContext,
  port: number,
  from: string
): Promise<boolean> {
  const peer = await RawPeer.connect(t, port, from)
  let received = 0
  peer.socket.on('data', (bytes: Buffer) => {
    received += bytes.length
    peer.socket.destroy()
  })
  peer.send(line(MULTISTREAM))
  await peer.closedWithin()
  return received > 0
}
