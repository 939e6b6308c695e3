/** Repeated application-style streams between us and the handlers and clients of js-libp2p. */
import test from 'ava'
import type { Stream } from '../../ts/stream.ts'
import { CONTRACT, requestOf, serveContract } from '../support/contract.ts'
import { createNode, pattern } from '../support/pair.ts'
import {
  declareMissing,
  declareServer,
  findPeer,
  runClient,
  type Security,
  STACKS
} from '../support/peer-program.ts'

const ROUNDS = 300
const REQUEST_BYTES = 64

/** The request to a handler of js-libp2p, and its expected answer. */
interface Handler {
  readonly protocol: string
  request(payload: Uint8Array): Uint8Array
  answer(payload: Uint8Array): Uint8Array
}

/** By the reader they use; see interop/js/server.js. */
const HANDLERS: Record<string, Handler> = {
  '@libp2p/echo': {
    protocol: CONTRACT.echo,
    request: (payload) => payload,
    answer: (payload) => payload
  },
  'for await': { protocol: '/bench/msgs/1.0.0', request: requestOf, answer: () => u64(1) },
  byteStream: { protocol: CONTRACT.requests, request: requestOf, answer: (payload) => payload },
  lpStream: {
    protocol: '/bench/lp/1.0.0',
    request: (payload) => Buffer.concat([prefixed(u64(1)), prefixed(payload)]),
    answer: () => prefixed(u64(1))
  }
}

// Before any test is declared, as ava requires all declarations at once.
const found = await findPeer('js')
if ('missing' in found) {
  declareMissing('js', found.missing)
} else {
  for (const security of ['noise', 'tls'] as const) {
    declareOutbound(found.command, security)
    declareInbound(found.command, security)
  }
}

function declareOutbound(command: readonly string[], security: Security): void {
  const serverAddr = declareServer('js', command, STACKS[security])
  for (const [name, handler] of Object.entries(HANDLERS)) {
    for (const identify of [true, false]) {
      const title = `a handler of ${name} answers ${ROUNDS} streams that are written, ended and read`
      // js-libp2p loses an end that arrives before its handler listens.
      test.serial(
        `${title}, over ${security} ${identify ? 'with' : 'without'} identify`,
        async (t) => {
          const swarm = await createNode(t, { security: [security], services: { identify } })
          const connection = await swarm.dialAddr(serverAddr())
          for (let round = 0; round < ROUNDS; round++) {
            const payload = pattern(REQUEST_BYTES, round)
            const stream = await connection.newStream(handler.protocol)
            const answer = await exchange(stream, handler.request(payload))
            t.deepEqual(Buffer.from(answer), Buffer.from(handler.answer(payload)), `round ${round}`)
          }
        }
      )
    }
  }
}

function declareInbound(command: readonly string[], security: Security): void {
  for (const identify of [true, false]) {
    const title = `our handlers answer js-libp2p's for await, byteStream, lpStream and @libp2p/echo ${ROUNDS} times each`
    test.serial(
      `${title}, over ${security} ${identify ? 'with' : 'without'} identify`,
      async (t) => {
        const swarm = await createNode(t, { security: [security], services: { identify } })
        serveContract(swarm)
        await swarm.listen('/ip4/127.0.0.1/tcp/0')
        const line = await runClient(t, command, {
          stack: STACKS[security],
          addr: `${swarm.getListenAddrs()[0]}/p2p/${swarm.peerId}`,
          workload: 'rounds',
          n: ROUNDS,
          bytes: REQUEST_BYTES
        })
        t.is(line.ops, 4 * ROUNDS)
      }
    )
  }
}

/** A request as in the README. */
async function exchange(stream: Stream, request: Uint8Array): Promise<Uint8Array> {
  await stream.write(request)
  await stream.closeWrite()
  return await stream.read()
}

function u64(value: number): Uint8Array {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(BigInt(value))
  return bytes
}

/** Prefixed with its length, a varint of one byte. */
function prefixed(message: Uint8Array): Uint8Array {
  return Buffer.concat([Uint8Array.of(message.length), message])
}
