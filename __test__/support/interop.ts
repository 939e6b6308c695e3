/** The cases of `interop/<peer>.spec.ts`, which every foreign peer runs in both directions and over several stacks. */
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import type { PeerId } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import test, { type ExecutionContext } from 'ava'
import type { Connection } from '../../ts/connection.ts'
import type { MuxerName, MuxerProtocol, SecurityProtocol } from '../../ts/constants.ts'
import { StreamEOFError, StreamResetError } from '../../ts/errors.ts'
import { agentVersion, identify } from '../../ts/protocols/identify.ts'
import { ping } from '../../ts/protocols/ping.ts'
import type { SwarmOptions } from '../../ts/swarm/options.ts'
import type { Swarm } from '../../ts/swarm.ts'
import { CONTRACT, RESET_CODE, requestOf, serveContract } from './contract.ts'
import { createNode, pattern, until } from './pair.ts'
import {
  declareMissing,
  declareServer,
  findPeer,
  peerFiles,
  runClient,
  type Stack
} from './peer-program.ts'

/** A foreign peer, and the behaviour in which implementations differ. */
export interface ForeignPeer {
  readonly name: 'go' | 'rust' | 'js' | 'py'
  /** Prefix of its agent version. */
  readonly agent: string
  /** Code of its resets: 42 by the contract, 0 if it sends none. */
  readonly codeSent: number
  /** Code it reads from our resets, null if it reads none. */
  readonly codeSeen: number | null
  /** It cannot reset a stream: dropping one ends it. */
  readonly endsInsteadOfReset?: boolean
}

const NO_CODES = { codeSent: 0, codeSeen: null } as const

/** The foreign peers. Of them go-libp2p alone has error codes of streams. */
export const PEERS: Readonly<Record<ForeignPeer['name'], ForeignPeer>> = {
  go: { name: 'go', agent: 'go-libp2p/0.51.0', codeSent: RESET_CODE, codeSeen: RESET_CODE },
  rust: { name: 'rust', agent: 'rust-libp2p/0.57.1', ...NO_CODES },
  js: { name: 'js', agent: 'js-libp2p/3.3.11', ...NO_CODES },
  py: { name: 'py', agent: 'py-libp2p/0.8.1', ...NO_CODES }
}

/** A stack as ours has it. */
interface Ours {
  readonly options: SwarmOptions
  /** Where our swarm listens over it. */
  readonly listen: string
  readonly security: SecurityProtocol
  readonly muxer: MuxerProtocol | ''
}

const NOISE = {
  options: { security: ['noise'] },
  security: '/noise',
  muxer: '/yamux/1.0.0'
} as const
const TLS = {
  options: { security: ['tls'] },
  security: '/tls/1.0.0',
  muxer: '/yamux/1.0.0'
} as const
const TCP = '/ip4/127.0.0.1/tcp/0'

const OURS: Record<Stack, Ours> = {
  'tcp-noise-yamux': { ...NOISE, listen: TCP },
  'tcp-tls-yamux': { ...TLS, listen: TCP },
  quic: { options: {}, listen: '/ip4/127.0.0.1/udp/0/quic-v1', security: '/tls/1.0.0', muxer: '' },
  'ws-noise-yamux': { ...NOISE, listen: `${TCP}/ws` },
  'ws-tls-yamux': { ...TLS, listen: `${TCP}/ws` },
  'wss-noise-yamux': { ...NOISE, listen: `${TCP}/tls/ws` },
  'wss-tls-yamux': { ...TLS, listen: `${TCP}/tls/ws` }
}

/** What differs from a run over TCP. */
export interface InteropOptions {
  readonly stacks?: readonly Stack[]
  /** Our engine. */
  readonly muxer?: MuxerName
  /** Our options beside those of the stack. */
  readonly options?: SwarmOptions
  /** Flags of their server, and of their client. */
  readonly flags?: { readonly server: readonly string[]; readonly client: readonly string[] }
}

/** WebSocket over TLS, with a certificate that both sides trust. */
export async function overSecureWebSocket(): Promise<InteropOptions> {
  const { cert, key } = await peerFiles()
  return {
    stacks: ['wss-noise-yamux'],
    options: { webSocket: { certificate: { cert, key }, roots: cert } },
    flags: { server: ['--cert', cert, '--key', key], client: ['--ca', cert] }
  }
}

/** A private network. */
export async function inPrivateNetwork(): Promise<InteropOptions> {
  const { psk } = await peerFiles()
  const flags = ['--psk', psk]
  return {
    stacks: ['tcp-noise-yamux'],
    options: { psk: await readFile(psk) },
    flags: { server: flags, client: flags }
  }
}

const PINGS = 5
/** Bytes of an echo that py-libp2p may have outstanding over QUIC: it drops what it has not read beyond 2 MiB. */
const PY_QUIC_BYTES = 1024 * 1024
const ECHO_BYTES = 64 * 1024 * 1024
const BLOCK_BYTES = 64 * 1024
/** Initial window of a stream: a peer can echo this much before we read. */
const HALF_CLOSE_BYTES = 256 * 1024
const REQUEST_BYTES = 1_024
const REQUESTS_AT_ONCE = 100
/** Enough to reuse each of the 100 slots several times. */
const REQUESTS = 400

/** Declares every case, or one that reports a missing peer and fails where CI is set. */
export async function interop(
  peer: ForeignPeer,
  {
    stacks = ['tcp-noise-yamux', 'tcp-tls-yamux'],
    muxer = 'yamux',
    options = {},
    flags = { server: [], client: [] }
  }: InteropOptions = {}
): Promise<void> {
  const found = await findPeer(peer.name)
  if ('missing' in found) {
    declareMissing(peer.name, found.missing)
    return
  }
  for (const stack of stacks) {
    const setting: Setting = {
      peer,
      stack,
      options: { ...OURS[stack].options, ...options, muxers: [muxer], services: {} },
      command: found.command,
      flags
    }
    declareOutbound(setting)
    declareInbound(setting)
  }
}

interface Setting {
  readonly peer: ForeignPeer
  readonly stack: Stack
  /** Ours. */
  readonly options: SwarmOptions
  readonly command: readonly string[]
  readonly flags: Required<InteropOptions>['flags']
}

/** Declares the cases in which our swarm dials their server. */
function declareOutbound({ peer, stack, options, command, flags }: Setting): void {
  const ours = OURS[stack]
  const serverAddr = declareServer(peer.name, command, stack, flags.server)
  for (const [title, body] of Object.entries(OUTBOUND)) {
    declare(`${peer.name} server over ${stack}: ${title}`, async (t) => {
      const addr = serverAddr()
      const swarm = await createNode(t, options)
      const connection = await swarm.dialAddr(addr)
      t.is(`${connection.remoteAddr}/p2p/${connection.remotePeer}`, addr)
      t.is(connection.state.security, ours.security)
      t.is(connection.state.muxer, ours.muxer)
      await body(t, connection, peer)
      t.false(connection.isClosed)
    })
  }
}

/** Declares the cases in which their client dials our swarm. */
function declareInbound({ peer, stack, options, command, flags }: Setting): void {
  const ours = OURS[stack]
  for (const [title, { check, ...workload }] of Object.entries(INBOUND)) {
    declare(`${peer.name} client over ${stack}: ${title}`, async (t) => {
      const swarm = await createNode(t, options)
      serveContract(swarm)
      await swarm.listen(ours.listen)
      const connected = new Promise<Connection>((resolve) => {
        swarm.addEventListener('connected', ({ detail }) => resolve(detail), { once: true })
      })
      const addr = `${swarm.getListenAddrs()[0]}/p2p/${swarm.peerId}`
      const line = await runClient(t, command, { stack, addr, ...workload }, flags.client)
      const connection = await connected
      t.is(connection.state.security, ours.security)
      check(t, line, { swarm, connection, peer })
    })
  }
}

// Serial: two dozen concurrent transfers on a small machine can take as long as identify's deadline of 5 s.
const declare = test.serial

type OutboundCase = (t: ExecutionContext, near: Connection, peer: ForeignPeer) => Promise<void>

const OUTBOUND: Record<string, OutboundCase> = {
  async 'answers our pings'(t, connection) {
    t.is(await pings(connection), PINGS)
  },

  async 'identifies itself'(t, connection, peer) {
    const facts = await identify(connection)
    t.true(facts.agentVersion?.startsWith(peer.agent), facts.agentVersion)
    t.is(facts.protocolVersion, 'ipfs/0.1.0')
    for (const name of ['/ipfs/id/1.0.0', '/ipfs/ping/1.0.0', ...Object.values(CONTRACT)]) {
      t.true(facts.protocols.includes(name), `${name} in ${facts.protocols}`)
    }
    const { remotePeer, remoteAddr, localPeer, localAddr } = connection
    t.deepEqual(facts.listenAddrs.map(without(remotePeer)), [String(remoteAddr)])
    // py-libp2p takes every remote for one over TCP.
    if (peer.name !== 'py' || connection.state.transport === 'tcp') {
      // Over TLS, go calls WebSocket /wss, and js /ws.
      const socket = (addr: string): string => addr.replace(/\/(?:tls\/)?wss?$/, '')
      t.is(socket(without(localPeer)(facts.observedAddr)), socket(String(localAddr)))
    }
    // It is stored only if it is valid. Not all peers send one.
    const { peerstore } = connection.swarm
    if (peer.name === 'go' || peer.name === 'js') {
      t.true(peerstore.getPeerRecord(remotePeer) !== undefined)
    }
    t.deepEqual(peerstore.addrs(remotePeer).map(String), [String(remoteAddr)])
  },

  async 'echoes 64 MiB'(t, connection, peer) {
    const stream = await connection.newStream(CONTRACT.echo)
    const sent = createHash('sha256')
    const received = createHash('sha256')
    let count = 0
    const outstanding =
      peer.name === 'py' && connection.state.transport === 'quic' ? PY_QUIC_BYTES : ECHO_BYTES
    const send = async (): Promise<void> => {
      for (let at = 0; at < ECHO_BYTES; at += BLOCK_BYTES) {
        await until(() => at - count < outstanding)
        const block = pattern(BLOCK_BYTES, at / BLOCK_BYTES)
        sent.update(block)
        await stream.write(block)
      }
      await stream.closeWrite()
    }
    const receive = async (): Promise<void> => {
      for await (const chunk of stream) {
        received.update(chunk)
        count += chunk.length
      }
    }
    await Promise.all([send(), receive()])
    t.is(count, ECHO_BYTES)
    t.is(received.digest('hex'), sent.digest('hex'))
  },

  async 'keeps sending after our half-close'(t, connection) {
    const stream = await connection.newStream(CONTRACT.echo)
    const sent = pattern(HALF_CLOSE_BYTES)
    await stream.write(sent)
    await stream.closeWrite()
    t.is(Buffer.compare(await stream.read(), sent), 0)
    await t.throwsAsync(stream.read(1), { instanceOf: StreamEOFError })
  },

  async 'answers 100 concurrent requests'(t, connection) {
    const opening = Array.from({ length: REQUESTS_AT_ONCE }, () =>
      connection.newStream(CONTRACT.requests)
    )
    const streams = await Promise.all(opening)
    t.true(connection.streams.length >= REQUESTS_AT_ONCE)
    const answers = streams.map(async (stream, index) => {
      const payload = pattern(REQUEST_BYTES, index)
      await stream.write(requestOf(payload))
      await stream.closeWrite()
      return Buffer.compare(await stream.read(), payload) === 0
    })
    t.deepEqual(await Promise.all(answers), Array(REQUESTS_AT_ONCE).fill(true))
  },

  async 'resets a stream, and accepts our reset'(t, connection, peer) {
    const theirs = await connection.newStream(CONTRACT.reset)
    await theirs.write(Uint8Array.of(1))
    if (peer.endsInsteadOfReset === true) {
      await t.throwsAsync(theirs.read(1), { instanceOf: StreamEOFError })
    } else {
      const error = await t.throwsAsync(theirs.read(1), { instanceOf: StreamResetError })
      t.is(error?.errorCode, peer.codeSent)
      t.true(error?.remote)
    }
    const ours = await connection.newStream(CONTRACT.echo)
    await ours.write(Uint8Array.of(1))
    await ours.read(1)
    await ours.reset(7)
    t.is(await pings(connection), PINGS)
  }
}

interface InboundCase {
  readonly workload: string
  readonly n?: number
  readonly bytes?: number
  /** Asserts that the line printed by the client is right. */
  check(
    t: ExecutionContext,
    line: Record<string, unknown>,
    context: { swarm: Swarm; connection: Connection; peer: ForeignPeer }
  ): void
}

const INBOUND: Record<string, InboundCase> = {
  'pings us': {
    workload: 'ping',
    n: PINGS,
    check: (t, line) => t.is(line.ops, PINGS)
  },

  'identifies us': {
    workload: 'identify',
    check(t, line, { swarm, connection }) {
      t.is(line.agentVersion, agentVersion())
      t.is(line.protocolVersion, 'ipfs/0.1.0')
      t.deepEqual((line.protocols as string[]).toSorted(), swarm.getProtocols().toSorted())
      t.deepEqual(line.listenAddrs, swarm.getListenAddrs().map(String))
      t.is(line.observedAddr, String(connection.remoteAddr))
    }
  },

  'receives 64 MiB back': {
    workload: 'echo',
    bytes: ECHO_BYTES,
    check(t, line) {
      t.is(line.ops, 1)
      t.is(line.bytes, ECHO_BYTES)
    }
  },

  'receives everything back after its half-close': {
    workload: 'half-close',
    bytes: HALF_CLOSE_BYTES,
    check: (t, line) => t.is(line.bytes, HALF_CLOSE_BYTES)
  },

  'receives answers to 100 concurrent requests': {
    workload: 'rr-100',
    n: REQUESTS,
    bytes: REQUEST_BYTES,
    check: (t, line) => t.is(line.ops, REQUESTS)
  },

  'sees our reset': {
    workload: 'reset',
    check: (t, line, { peer }) => t.is(line.errorCode, peer.codeSeen)
  }
}

/** Formats addresses without the peer id, which js-libp2p adds to its own and to ours. */
function without(peer: PeerId): (addr: Multiaddr | undefined) => string {
  return (addr) => String(addr).replace(`/p2p/${peer}`, '')
}

/** Resolves to the number of our pings that are answered. */
async function pings(connection: Connection): Promise<number> {
  let answered = 0
  for await (const ms of ping(connection, { count: PINGS })) answered += ms > 0 ? 1 : 0
  return answered
}
