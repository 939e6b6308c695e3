/** WebSocket by hand (RFC 6455), for requests and frames that no library sends. */
import type { ExecutionContext } from 'ava'
import { connectedSocket, RawPeer } from './raw-peer.ts'

export const Opcode = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const

/** A frame of a dialer, valid or not; `length` defaults to the body's. */
export interface WebSocketFrame {
  readonly opcode?: number
  readonly isFinal?: boolean
  /** The three reserved bits. */
  readonly reserved?: number
  readonly isMasked?: boolean
  readonly length?: bigint
  readonly body?: Uint8Array
}

const MASK = Buffer.from('37fa213d', 'hex')

export function webSocketFrame(frame: WebSocketFrame): Buffer {
  const { opcode = Opcode.binary, isFinal = true, reserved = 0, isMasked = true } = frame
  const body = frame.body ?? Buffer.alloc(0)
  const length = frame.length ?? BigInt(body.length)
  const head = Buffer.of((isFinal ? 0x80 : 0) | (reserved << 4) | opcode, isMasked ? 0x80 : 0)
  const extended = Buffer.alloc(length < 126n ? 0 : length < 65_536n ? 2 : 8)
  head.writeUInt8(
    head.readUInt8(1) | (length < 126n ? Number(length) : length < 65_536n ? 126 : 127),
    1
  )
  if (extended.length === 2) extended.writeUInt16BE(Number(length))
  if (extended.length === 8) extended.writeBigUInt64BE(length)
  if (!isMasked) return Buffer.concat([head, extended, body])
  const masked = Buffer.from(body.map((byte, index) => byte ^ (MASK[index & 3] ?? 0)))
  return Buffer.concat([head, extended, MASK, masked])
}

/** A conforming request for an upgrade, whose answer is the same every time. */
export const UPGRADE_REQUEST = Buffer.from(
  [
    'GET / HTTP/1.1',
    'Host: 127.0.0.1',
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
    '',
    ''
  ].join('\r\n')
)

/** A peer whose bytes are the payloads of frames. */
export class RawWebSocket extends RawPeer {
  #payload: Buffer = Buffer.alloc(0)

  /** Connects from an address of loopback, without a request; the socket is destroyed when the test ends. */
  static async open(
    t: Pick<ExecutionContext, 'teardown'>,
    port: number,
    localAddress = '127.0.0.1'
  ): Promise<RawWebSocket> {
    return new RawWebSocket(await connectedSocket(t, port, localAddress))
  }

  /** Connects and upgrades. */
  static async upgraded(
    t: Pick<ExecutionContext, 'teardown'>,
    port: number,
    localAddress?: string
  ): Promise<RawWebSocket> {
    const peer = await RawWebSocket.open(t, port, localAddress)
    peer.sendRaw(UPGRADE_REQUEST)
    await peer.head()
    return peer
  }

  /** Sends bytes of one binary frame. */
  override send(...bytes: readonly Uint8Array[]): void {
    this.sendRaw(webSocketFrame({ body: Buffer.concat(bytes) }))
  }

  /** Sends bytes without a frame. */
  sendRaw(...bytes: readonly Uint8Array[]): boolean {
    return this.socket.write(Buffer.concat(bytes))
  }

  /** Resolves to the line and the headers of the response. */
  async head(): Promise<string> {
    let text = ''
    while (!text.endsWith('\r\n\r\n')) text += (await super.take(1)).toString('latin1')
    return text
  }

  /** Resolves to exactly `count` bytes of payloads; rejects if the connection closes first. */
  override async take(count: number): Promise<Buffer> {
    while (this.#payload.length < count) {
      const { opcode, body } = await this.frame()
      if (opcode === Opcode.binary) this.#payload = Buffer.concat([this.#payload, body])
    }
    const taken = this.#payload.subarray(0, count)
    this.#payload = this.#payload.subarray(count)
    return taken
  }

  /** Resolves to the next frame of the listener, which masks none. */
  async frame(): Promise<{ opcode: number; body: Buffer }> {
    const [first = 0, short = 0] = await super.take(2)
    let length = short & 0x7f
    if (length === 126) length = (await super.take(2)).readUInt16BE()
    else if (length === 127) length = Number((await super.take(8)).readBigUInt64BE())
    return { opcode: first & 15, body: await super.take(length) }
  }

  /** Resolves to the code of the listener's close frame; skips all frames before it. */
  async closeCode(): Promise<number> {
    for (;;) {
      const { opcode, body } = await this.frame()
      if (opcode === Opcode.close) return body.length < 2 ? 0 : body.readUInt16BE()
    }
  }
}
