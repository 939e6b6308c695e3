import { duplexPair } from 'node:stream'
import test from 'ava'
import {
  AbortError,
  ConnectionClosedError,
  ResourceLimitExceededError,
  ResourceScopeClosedError
} from '../../ts/errors.ts'
import { makeIdentity } from '../../ts/identity/keys.ts'
import {
  DecryptionFailedError,
  EncryptedMsgReadWriter,
  type IncompleteReadError,
  MessageTooLargeError,
  MissingLengthError,
  MissingMessageError,
  type ReadWriteCloser,
  secureMessages,
  tcpStream
} from '../../ts/io/index.ts'
import { turn } from '../support/fake-connection.ts'
import { createPair, pattern } from '../support/pair.ts'
import { bytesOf, textOf } from '../support/readers.ts'
import { KEYS, PEERS, secured } from '../support/secured.ts'
import { socketPair } from '../support/sockets.ts'

for (const security of ['noise', 'tls'] as const) {
  test(`messages go both ways over ${security}, including ones larger than a record`, async (t) => {
    const [near, far] = await secured(t, { security })
    t.true(near instanceof EncryptedMsgReadWriter)
    t.is(near.security, security === 'noise' ? '/noise' : '/tls/1.0.0')
    t.deepEqual([near.remotePeer, far.remotePeer].map(String), [PEERS[1], PEERS[0]])
    t.true(far.remotePublicKey.equals(makeIdentity(KEYS[0]).privateKey.publicKey))
    t.is(near.remoteAddress?.host, '127.0.0.1')
    const sent = [bytesOf('small'), new Uint8Array(0), pattern(1_000_000), bytesOf('last')]
    const echo = (async () => {
      for await (const message of far) await far.writeMsg(message)
      await far.close()
    })()
    const writes = Promise.all(sent.map((message) => near.writeMsg(message)))
    for (const message of sent) t.is(Buffer.compare(await near.readMsg(), message), 0)
    await writes
    await near.close()
    await echo
    await t.throwsAsync(near.writeMsg(bytesOf('late')), { instanceOf: ConnectionClosedError })
  })

  test(`no plaintext of a message over ${security} is on the wire`, async (t) => {
    const { near, far } = await socketPair(t)
    const seen: Buffer[] = []
    far.on('data', (chunk: Buffer) => seen.push(chunk))
    const relayed = tcpStream(near)
    const [left, right] = duplexPair()
    const tapped: ReadWriteCloser = {
      remoteAddress: undefined,
      read: (n, options) => relayed.read(n, options),
      write: (bytes) => relayed.write(bytes),
      close: () => relayed.close()
    }
    // The other end answers through the same socket.
    right.on('data', (chunk) => far.write(chunk))
    far.on('data', (chunk) => right.write(chunk))
    const [client, server] = await Promise.all([
      secureMessages(tapped, { privateKey: KEYS[0], security, initiator: true }),
      secureMessages(left, { privateKey: KEYS[1], security, initiator: false })
    ])
    await client.writeMsg(bytesOf('a secret that nobody reads'))
    t.is(textOf(await server.readMsg()), 'a secret that nobody reads')
    t.false(Buffer.concat(seen).includes('secret'))
  })

  test(`bytes changed in transit over ${security} fail, and so does everything after`, async (t) => {
    const { near, far } = await socketPair(t)
    let broken = false
    const carrier = tcpStream(far)
    const tampered: ReadWriteCloser = {
      remoteAddress: undefined,
      write: (bytes) => carrier.write(bytes),
      close: () => carrier.close(),
      read: async (n, options) => {
        const bytes = (await carrier.read(n, options)).slice()
        if (broken) bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1
        return bytes
      }
    }
    const [client, server] = await Promise.all([
      secureMessages(near, { privateKey: KEYS[0], security, initiator: true }),
      secureMessages(tampered, { privateKey: KEYS[1], security, initiator: false })
    ])
    await client.writeMsg(bytesOf('fine'))
    t.is(textOf(await server.readMsg()), 'fine')
    broken = true
    await client.writeMsg(bytesOf('broken'))
    await t.throwsAsync(server.readMsg(), {
      instanceOf: DecryptionFailedError,
      code: 'ERR_DECRYPTION_FAILED'
    })
    broken = false
    await client.writeMsg(bytesOf('too late'))
    await t.throwsAsync(server.readMsg(), { instanceOf: DecryptionFailedError })
  })

  test(`manual sealing and opening over ${security} keeps the record count`, async (t) => {
    const [near, far] = await secured(t, { security })
    t.is(near.encrypt(new Uint8Array(0)).length, 0)
    const large = pattern(100_000)
    const sealed = near.encrypt(large)
    t.true(sealed.length > large.length)
    t.is(Buffer.compare(far.decrypt(sealed), large), 0)
    await near.writeMsg(bytesOf('by the connection'))
    t.is(textOf(await far.readMsg()), 'by the connection')
    t.is(textOf(near.decrypt(far.encrypt(bytesOf('back')))), 'back')
    t.throws(() => far.decrypt(sealed), { instanceOf: DecryptionFailedError })
    t.throws(() => far.decrypt(near.encrypt(bytesOf('a'))), { instanceOf: DecryptionFailedError })
    t.throws(() => far.encrypt(bytesOf('a')), { instanceOf: DecryptionFailedError })
    const [left, right] = await secured(t, { security })
    const cut = left.encrypt(bytesOf('whole')).subarray(0, -1)
    t.throws(() => right.decrypt(cut), { instanceOf: DecryptionFailedError })
    await left.close()
    t.throws(() => left.encrypt(bytesOf('late')), { instanceOf: ConnectionClosedError })
  })

  test(`an end between messages is clean over ${security}, one inside a message is not`, async (t) => {
    const [near, far] = await secured(t, { security, framing: 'fixed32' })
    await near.writeMsg(bytesOf('one'))
    await near.close()
    const seen: string[] = []
    for await (const message of far) seen.push(textOf(message))
    t.deepEqual(seen, ['one'])
    const ended = await t.throwsAsync(far.readMsg(), { instanceOf: MissingLengthError })
    t.true((ended.cause as IncompleteReadError).isCleanClose)

    const sockets = await socketPair(t)
    const [cut, left] = await Promise.all([
      secureMessages(sockets.near, { privateKey: KEYS[0], security, initiator: true }),
      secureMessages(sockets.far, { privateKey: KEYS[1], security, initiator: false })
    ])
    const sealed = cut.encrypt(Uint8Array.of(5, 1, 2))
    sockets.near.end(sealed)
    const inMessage = await t.throwsAsync(left.readMsg(), { instanceOf: MissingMessageError })
    t.is((inMessage.cause as IncompleteReadError).receivedBytes, 2)
  })

  test(`an end inside a record over ${security} is not clean`, async (t) => {
    const sockets = await socketPair(t)
    const [cut, left] = await Promise.all([
      secureMessages(sockets.near, { privateKey: KEYS[0], security, initiator: true }),
      secureMessages(sockets.far, { privateKey: KEYS[1], security, initiator: false })
    ])
    sockets.near.end(cut.encrypt(bytesOf('record')).subarray(0, -1))
    const iterate = async () => {
      for await (const _ of left) t.fail()
    }
    const err = await t.throwsAsync(iterate(), { instanceOf: MissingLengthError })
    t.false((err.cause as IncompleteReadError).isCleanClose)
  })
}

// A115
test('the end of a TLS carrier without close_notify is not clean', async (t) => {
  const sockets = await socketPair(t)
  const [cut, left] = await Promise.all([
    secureMessages(sockets.near, { privateKey: KEYS[0], security: 'tls', initiator: true }),
    secureMessages(sockets.far, { privateKey: KEYS[1], security: 'tls', initiator: false })
  ])
  await cut.writeMsg(bytesOf('one'))
  sockets.near.end()
  const seen: string[] = []
  const iterate = async (): Promise<void> => {
    for await (const message of left) seen.push(textOf(message))
  }
  const ended = await t.throwsAsync(iterate(), { instanceOf: MissingLengthError })
  t.deepEqual(seen, ['one'])
  t.false((ended.cause as IncompleteReadError).isCleanClose)
  await t.throwsAsync(left.readMsg(), { instanceOf: MissingLengthError })
})

test('an aborted read or write leaves the channel usable', async (t) => {
  const [near, far] = await secured(t)
  const abort = new AbortController()
  const read = far.readMsg({ signal: abort.signal })
  await turn()
  abort.abort()
  await t.throwsAsync(read, { instanceOf: AbortError })
  const again = new AbortController()
  const write = near.writeMsg(bytesOf('aborted'), { signal: again.signal })
  again.abort()
  await t.throwsAsync(write, { instanceOf: AbortError })
  const large = pattern(4 * 1024 * 1024)
  const whole = near.writeMsg(large)
  t.is(Buffer.compare(await far.readMsg(), large), 0)
  await whole
  await near.writeMsg(bytesOf('after'))
  t.is(textOf(await far.readMsg()), 'after')
})

test('concurrent reads and writes keep their order', async (t) => {
  const [near, far] = await secured(t, { security: 'tls', framing: 'fixed16' })
  const sent = Array.from({ length: 50 }, (_, index) => pattern(index * 37, index))
  const reads = sent.map(() => far.readMsg())
  await Promise.all(sent.map((message) => near.writeMsg(message)))
  for (const [index, message] of (await Promise.all(reads)).entries()) {
    t.is(Buffer.compare(message, sent[index] as Uint8Array), 0)
  }
})

test('a message over the limit is refused in both directions', async (t) => {
  const [near, far] = await secured(t, { maxMessageBytes: 200_000 }, { maxMessageBytes: 100 })
  t.is(far.maxMessageBytes, 100)
  await t.throwsAsync(far.writeMsg(new Uint8Array(101)), { instanceOf: MessageTooLargeError })
  await near.writeMsg(new Uint8Array(101))
  await t.throwsAsync(far.readMsg(), { instanceOf: MessageTooLargeError })
})

test('secures a stream inside a connection that is itself secured', async (t) => {
  const pair = await createPair(t)
  const { near, far } = await pair.openStreams()
  const [client, server] = await Promise.all([
    secureMessages(near, { privateKey: KEYS[0], security: 'noise', initiator: true }),
    secureMessages(far, { privateKey: KEYS[1], security: 'noise', initiator: false })
  ])
  t.deepEqual(client.remoteAddress, near.remoteAddress)
  await client.writeMsg(bytesOf('within'))
  t.is(textOf(await server.readMsg()), 'within')
  await client.close()
  const ended = await t.throwsAsync(server.readMsg(), { instanceOf: MissingLengthError })
  t.true((ended.cause as IncompleteReadError).isCleanClose)
})

test('a session is charged to the scope that it is given, from the handshake to the close', async (t) => {
  const { outbound } = await createPair(t, {
    dialer: { limits: { connection: { memory: 300_000 } } }
  })
  const { scope } = outbound
  const used = (): number => scope.stat.memory
  const [near, far] = await secured(t, { scope })
  t.is(used(), 2 * 128 * 1_024)
  const sockets = await socketPair(t)
  const options = { privateKey: KEYS[0], security: 'noise', initiator: true, scope } as const
  const refused = await t.throwsAsync(secureMessages(sockets.near, options), {
    instanceOf: ResourceLimitExceededError
  })
  t.regex(refused.scope, /^connection-/)
  t.is(used(), 2 * 128 * 1_024)
  await Promise.all([near.close(), far.close()])
  t.is(used(), 0)
  const others = await socketPair(t)
  others.far.end('no handshake')
  await t.throwsAsync(secureMessages(others.near, options))
  t.is(used(), 0)
  await outbound.close()
  await outbound.closed
  const late = await socketPair(t)
  await t.throwsAsync(secureMessages(late.near, options), { instanceOf: ResourceScopeClosedError })
})
