/** `console.log` of this package's objects, and `connection.stats()`. */
import { type InspectOptions, inspect } from 'node:util'
import test, { type ExecutionContext } from 'ava'
import * as errors from '../../ts/errors.ts'
import { generatePrivateKey } from '../../ts/identity/keys.ts'
import { environment } from '../../ts/native/environment.ts'
import { createNode, createPair, until } from '../support/pair.ts'
import { overPairs } from '../support/stacks.ts'

const EVERYTHING: InspectOptions = {
  depth: 10,
  showHidden: true,
  maxArrayLength: null,
  maxStringLength: null
}

// Length of a part of a key that does not match by chance: six bytes at one place are one in 10^14.
const WINDOW_BYTES = 6

/** Fails if `text` contains any part of a secret: in hexadecimal, in base64, or as numbers. */
function hidden(t: ExecutionContext, secret: Uint8Array, text: string): void {
  const plain = text.replaceAll(/\s/g, '')
  for (let start = 0; start + WINDOW_BYTES <= secret.length; start += 1) {
    const part = Buffer.from(secret.subarray(start, start + WINDOW_BYTES))
    const forms = [part.toString('hex'), part.toString('base64'), part.toString('base64url')]
    for (const form of [...forms, part.join(',')]) {
      if (plain.toLowerCase().includes(form.toLowerCase())) t.fail(`${form} is in ${text}`)
    }
  }
}

/** The secret half of an ed25519 key: the rest of its protobuf is the public one. */
function secretOf(key: Uint8Array): Uint8Array {
  return key.subarray(4, 36)
}

/** Number of hot calls that `action` makes. */
function crossings(action: () => unknown): number {
  const hot = environment().hot as unknown as Record<string, unknown>
  const calls = Object.entries(hot).filter(([, call]) => typeof call === 'function')
  let made = 0
  for (const [name, call] of calls) {
    hot[name] = (...args: unknown[]): unknown => {
      made += 1
      return (call as (...args: unknown[]) => unknown)(...args)
    }
  }
  try {
    action()
  } finally {
    for (const [name, call] of calls) hot[name] = call
  }
  return made
}

test('console.log of a swarm, a connection, a stream, its options and an error shows no key', async (t) => {
  const keys = [generatePrivateKey(), generatePrivateKey()] as const
  const pair = await createPair(t, {
    dialer: { privateKey: keys[0] },
    listener: { privateKey: keys[1] }
  })
  const { near, far } = await pair.openStreams()
  // Lazily created values exist.
  t.truthy([pair.dialer.privateKey, pair.outbound.localPrivateKey, pair.inbound.remotePublicKey])
  const misuse = t.throws(() => pair.dialer.handle(keys[0] as never, () => {}))
  const badPeer = t.throws(() => pair.dialer.getConnections(keys[0] as never))
  const { dialer, listener, outbound, inbound } = pair
  const { options, identity, peerstore } = dialer
  const objects = {
    ...{ dialer, listener, outbound, inbound, near, far, options, identity, peerstore },
    ...{ misuse, badPeer, peerOptions: listener.options, nested: [{ in: { dialer, outbound } }] }
  }
  const shown = (): void => {
    for (const key of keys) {
      for (const extra of [{}, { getters: true }, { compact: false }, { customInspect: false }]) {
        hidden(t, secretOf(key), inspect(objects, { ...EVERYTHING, ...extra }))
      }
    }
  }
  shown()
  near.reset()
  await outbound.close()
  await dialer.close()
  shown()
  // The check finds a key that is shown.
  t.throws(() => hidden({ fail: fails } as never, keys[0], inspect(keys[0], EVERYTHING)))
})

function fails(message: string): never {
  throw new Error(message)
}

overPairs('console.log of a connection shows peer, address, stack and bytes', async (t, pair) => {
  const { near, far } = await pair.openStreams()
  await near.write(new Uint8Array(1_000))
  await far.read(1_000)
  const { outbound } = pair
  const { transport, security, muxer } = outbound.state
  const stack = [transport, security, muxer].filter((part) => part !== '').join(' ')
  const text = inspect(outbound)
  t.regex(text, /^Connection \{/)
  for (const part of [
    `id: '${outbound.id}'`,
    "state: 'open'",
    "direction: 'outbound'",
    `PeerId(${outbound.remotePeer})`,
    `Multiaddr(${outbound.remoteAddr})`,
    `stack: '${stack}'`,
    'streams: 1'
  ]) {
    t.true(text.includes(part), `${part} in ${text}`)
  }
  t.regex(text, /bytesSent: 1\d\d\d/)
  t.is(
    crossings(() => inspect(outbound)),
    1
  )
  const closed = outbound.close()
  t.regex(inspect(outbound), /state: 'closing'/)
  await closed
  t.regex(inspect(outbound), /state: 'closed'.*bytesSent: 1\d\d\d.*closeReason/s)
  t.is(
    crossings(() => inspect(outbound)),
    0
  )
})

test('console.log of a stream shows its state by name and its bytes, and the error of one that failed', async (t) => {
  const { openStreams, outbound } = await createPair(t)
  const { near, far } = await openStreams()
  await near.write(new Uint8Array(10))
  await until(() => (far.counters()?.bytesUnread ?? 0) === 10)
  const text = inspect(far)
  t.regex(text, /^Stream \{/)
  t.regex(text, /state: 'OPEN'.*direction: 'inbound'.*protocol: '\/ferroswarm.*bytesUnread: 10/s)
  t.true(inspect(near).includes(`PeerId(${outbound.remotePeer})`))
  t.is(
    crossings(() => inspect(near)),
    1
  )
  await near.reset(5)
  await until(() => near.counters() === undefined)
  const ended = inspect(near)
  t.regex(ended, /state: 'RESET'.*error: StreamResetError.*errorCode: 5/s)
  t.notRegex(ended, /bytesSent/)
  t.is(
    crossings(() => inspect(near)),
    0
  )
})

test('console.log of a swarm shows its state, addresses and counts, without a crossing', async (t) => {
  const { dialer, listener, openStreams } = await createPair(t)
  await openStreams()
  const text = inspect(listener)
  t.true(text.startsWith('Swarm {'))
  t.true(text.includes(`Multiaddr(${listener.getListenAddrs()[0]})`))
  t.regex(text, /state: 'started'.*connections: 1,.*streams: 1,.*protocols: \[ '\/ferroswarm/s)
  t.is(
    crossings(() => inspect(listener)),
    0
  )
  const closed = dialer.close()
  t.regex(inspect(dialer), /state: 'closing'/)
  await closed
  t.regex(inspect(dialer), /state: 'closed'.*connections: 0/s)
})

test('objects below the last level are named, and colours follow the options', async (t) => {
  const { dialer, outbound, openStreams } = await createPair(t)
  const { near } = await openStreams()
  const deep = { deep: { dialer, outbound, near } }
  t.is(
    inspect(deep, { depth: 1, breakLength: Number.POSITIVE_INFINITY }),
    `{ deep: { dialer: [Swarm ${dialer.peerId}], outbound: [Connection ${outbound.id}], near: [Stream ${near.id}] } }`
  )
  t.is(
    crossings(() => inspect(deep, { depth: 1 })),
    0
  )
  t.true(inspect(near, { colors: true }).includes("\u001b[32m'OPEN'\u001b[39m"))
  t.false(inspect(near, { colors: false }).includes('\u001b'))
  t.false(inspect(dialer, { breakLength: Number.POSITIVE_INFINITY }).includes('\n'))
  // A proxy has none of the private fields.
  for (const whole of [dialer, outbound, near]) t.notThrows(() => inspect(new Proxy(whole, {})))
})

test('console.log of a failed dial has its stack, and a line for each address', async (t) => {
  const node = await createNode(t)
  const other = await createNode(t)
  const addresses = ['/ip4/127.0.0.1/tcp/1', '/ip4/127.0.0.1/udp/1/quic-v1']
  const dial = async (): Promise<unknown> => await node.dialPeer(other.peerId, { addresses })
  const err = await t.throwsAsync(dial(), { instanceOf: errors.DialAllFailedError })
  for (const breakLength of [80, Number.POSITIVE_INFINITY]) {
    const text = inspect(err, { breakLength })
    const lines = text.split('\n')
    t.regex(lines[0] ?? '', /^DialAllFailedError: /)
    t.true(lines.some((line) => line.includes('inspect.spec.ts')))
    t.regex(text, /^(?: {2}|\{ )code: 'ERR_DIAL_ALL_FAILED',\s+kind: 'environment',/m)
    for (const address of addresses) {
      t.is(lines.filter((line) => line.startsWith(`  ${address} `)).length, 1, address)
    }
    t.regex(text, /,\s+cause: DialError/)
  }
})

test('an error shows its details and cause, omits empty ones, and stops at a circular cause', (t) => {
  const cause = new Error('below')
  const reset = inspect(new errors.StreamResetError('gone', { errorCode: 7, remote: true, cause }))
  t.regex(reset, /^StreamResetError: gone\n.*errorCode: 7.*remote: true.*cause: Error: below/s)
  const late = inspect(new errors.TimeoutError())
  t.regex(late, /code: 'ERR_TIMEOUT'/)
  t.notRegex(late, /bytesAccepted|clock|cause/)
  t.regex(inspect(new errors.AbortError('late', { bytesAccepted: 3 })), /bytesAccepted: 3/)
  const ring = new errors.InternalError('ring')
  Object.defineProperty(ring, 'cause', { value: ring })
  t.regex(inspect(ring, { depth: null }), /cause: \[InternalError: ring\]/)
  t.is(inspect({ a: { late: ring } }, { depth: 1 }), '{ a: { late: [InternalError: ring] } }')
})

overPairs('the byte counts of a connection remain available after its end', async (t, pair) => {
  const { near, far } = await pair.openStreams()
  await near.write(new Uint8Array(50_000))
  await near.closeWrite()
  t.is((await far.read()).length, 50_000)
  const { outbound, inbound } = pair
  const living = outbound.stats()
  t.like(living, { ...outbound.counters(), direction: 'outbound', numStreams: 1, ended: undefined })
  t.is(living.extra, outbound.stat.extra)
  t.is(
    crossings(() => outbound.stats()),
    1
  )
  await outbound.close()
  await inbound.closed
  for (const connection of [outbound, inbound]) {
    t.is(connection.counters(), undefined)
    const ended = connection.stats()
    t.true(Math.max(ended.bytesSent, ended.bytesReceived) >= 50_000, inspect(ended))
    t.is(ended.numStreams, 0)
    t.true((ended.ended ?? 0) >= ended.opened)
    t.deepEqual(connection.stats(), ended)
    t.is(
      crossings(() => connection.stats()),
      0
    )
  }
})
