/** A node and a raw peer on one connection, whose streams are handed out without negotiation. */
import type { ExecutionContext } from 'ava'
import type { Connection } from '../../ts/connection.ts'
import type { Stream } from '../../ts/stream.ts'
import type { SwarmOptions } from '../../ts/swarm/options.ts'
import type { Swarm } from '../../ts/swarm.ts'
import { createNode } from './pair.ts'
import { FrameFlags, FrameType, type RawFrame, RawPeer, type RawSession } from './raw-peer.ts'

type Frame = Required<RawFrame>

export interface RawPair {
  readonly node: Swarm
  readonly connection: Connection
  readonly peer: RawPeer
  readonly session: RawSession
  /** Resolves to the node's next inbound stream. */
  stream(): Promise<Stream>
  /** Resolves to the next frame that is not a ping; pings are answered. */
  frame(): Promise<Frame>
  /** Resolves to the bytes of the next data frames for `id`, at least `count` of them. */
  data(id: number, count: number): Promise<Buffer>
  /** Resolves to the frames that the node has sent so far: all up to the answer to a ping of ours. */
  said(): Promise<Frame[]>
}

/** Connects a node and a raw peer. With `dials` the node dials, so that the raw peer's stream ids are even. */
export async function createRawPair(
  t: ExecutionContext,
  {
    dials = false,
    ...options
  }: Pick<SwarmOptions, 'connections' | 'limits' | 'logger'> & { dials?: boolean } = {}
): Promise<RawPair> {
  const node = await createNode(t, { ...options, security: ['noise'] })
  const taken: Stream[] = []
  const waiting: ((stream: Stream) => void)[] = []
  node.setStreamHandler((stream) => {
    const next = waiting.shift()
    if (next === undefined) taken.push(stream)
    else next(stream)
  })
  const connected = new Promise<Connection>((resolve) => {
    node.addEventListener('connected', ({ detail }) => resolve(detail), { once: true })
  })
  const session = await (dials ? accepted(t, node) : dialled(t, node))
  const connection = await connected
  let pings = 0
  const next = async (): Promise<Frame> => {
    for (;;) {
      const frame = await session.frame()
      if (frame.type !== FrameType.ping || frame.flags !== FrameFlags.syn) return frame
      session.send({ ...frame, flags: FrameFlags.ack })
    }
  }
  return {
    node,
    connection,
    peer: session.peer,
    session,
    stream() {
      const stream = taken.shift()
      if (stream !== undefined) return Promise.resolve(stream)
      return new Promise((resolve) => waiting.push(resolve))
    },
    frame: next,
    async data(id, count) {
      const parts: Buffer[] = []
      for (let bytes = 0; bytes < count; ) {
        const frame = await next()
        if (frame.type !== FrameType.data || frame.id !== id) continue
        parts.push(Buffer.from(frame.body))
        bytes += frame.body.length
      }
      return Buffer.concat(parts)
    },
    async said() {
      const frames: Frame[] = []
      // The answer to a ping overtakes frames that are queued with it; the answer to a second ping does not.
      for (const last of [pings + 1, pings + 2]) {
        pings = last
        session.send({ type: FrameType.ping, flags: FrameFlags.syn, length: 7_000 + last })
        for (;;) {
          const frame = await next()
          if (frame.type === FrameType.ping && frame.length === 7_000 + last) break
          frames.push(frame)
        }
      }
      return frames
    }
  }
}

async function dialled(t: ExecutionContext, node: Swarm): Promise<RawSession> {
  const [address] = await node.listen('/ip4/127.0.0.1/tcp/0').then(() => node.getListenAddrs())
  const peer = await RawPeer.connect(t, Number(`${address}`.split('/').at(-1)))
  return peer.dial()
}

async function accepted(t: ExecutionContext, node: Swarm): Promise<RawSession> {
  return new Promise((resolve, reject) => {
    RawPeer.serve(t, async (peer) => resolve(await peer.accept()))
      .then((address) => node.dialAddr(address))
      .catch(reject)
  })
}
