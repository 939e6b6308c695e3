/** What the attempts at servers that are no libp2p nodes say. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { inspect } from 'node:util'
import test from 'ava'
import { DialAllFailedError, type ErrorCode } from '../../ts/errors.ts'
import { createNode } from '../support/pair.ts'
import { serveSockets } from '../support/sockets.ts'

/** The attempt that a server causes. */
interface Expected {
  readonly code: ErrorCode
  readonly message: RegExp
  readonly hint: RegExp
}

const WRONG_PORT = /check the port/
const HUNG_UP = /may be at a limit, refuse this node, or not speak libp2p/

const SERVERS: Record<string, Expected & { take(socket: Socket): void }> = {
  'an SSH server': {
    take: (socket) => socket.write('SSH-2.0-OpenSSH_9.6\r\n'),
    code: 'ERR_MULTISELECT',
    message: /^the remote speaks SSH, not libp2p$/,
    hint: WRONG_PORT
  },
  'a TLS server': {
    take: (socket) => socket.once('data', () => socket.end(Uint8Array.of(21, 3, 3, 0, 2, 2, 10))),
    code: 'ERR_MULTISELECT',
    message: /^the remote speaks TLS without multistream-select, not libp2p$/,
    hint: WRONG_PORT
  },
  'a mail server': {
    take: (socket) => socket.write('220 mail.example ESMTP\r\n'),
    code: 'ERR_MULTISELECT',
    message: /^the remote broke multistream-select/,
    hint: WRONG_PORT
  },
  'a server that hangs up': {
    take: (socket) => socket.once('data', () => socket.end()),
    code: 'ERR_CONNECTION_ENDED',
    message: /closed/,
    hint: HUNG_UP
  },
  'a server that resets': {
    take: (socket) => socket.once('data', () => socket.resetAndDestroy()),
    code: 'ERR_CONNECTION_RESET',
    message: /^ECONNRESET/,
    hint: HUNG_UP
  }
}

for (const security of [['noise', 'tls'], ['noise']] as const) {
  for (const [name, { take, ...expected }] of Object.entries(SERVERS)) {
    test(`${name} is described, offered ${security.join(' and ')}`, async (t) => {
      const addr = await serveSockets(t, (socket) => {
        // The dialer closes as soon as it knows.
        socket.on('error', () => {})
        take(socket)
      })
      const node = await createNode(t, { retry: { maxRetries: 0 }, security })
      const error = await t.throwsAsync(node.dialAddr(addr), { instanceOf: DialAllFailedError })
      const [attempt] = error.attempts
      t.is(attempt?.stage, 'security')
      t.is(attempt?.cause.code, expected.code)
      t.regex(attempt?.cause.message ?? '', expected.message)
      t.regex(attempt?.hint ?? '', expected.hint)
    })
  }
}

test('an HTTP server is named beside the other addresses, and its cause has no inner stack', async (t) => {
  const server = createServer().listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await once(server, 'listening')
  const node = await createNode(t, { retry: { maxRetries: 0 } })
  const peer = (await createNode(t)).peerId
  const addresses = [
    `/ip4/127.0.0.1/tcp/${(server.address() as AddressInfo).port}`,
    await serveSockets(t, (socket) => socket.once('data', () => socket.end()))
  ]
  const error = await t.throwsAsync(node.dialPeer(peer, { addresses }), {
    instanceOf: DialAllFailedError
  })
  t.deepEqual(error.attempts.map(({ cause }) => cause.code).toSorted(), [
    'ERR_CONNECTION_ENDED',
    'ERR_MULTISELECT'
  ])
  const text = inspect(error)
  t.regex(text, /security +\d+ ms +ERR_MULTISELECT +the remote speaks HTTP, not libp2p/)
  t.notRegex(text, /native-error/)
})
