/** Dials of go, rust and js: what the failed attempts say, and nodes that dial each other at once. */
import test from 'ava'
import type { SecurityName } from '../../ts/constants.ts'
import { type AddressAttempt, DialAllFailedError } from '../../ts/errors.ts'
import { ping } from '../../ts/protocols/ping.ts'
import type { Swarm } from '../../ts/swarm.ts'
import { createNode } from '../support/pair.ts'
import {
  declareMissing,
  findPeer,
  type PeerServer,
  STACKS,
  startServer
} from '../support/peer-program.ts'

const OTHER = { noise: 'tls', tls: 'noise' } as const
const ROUNDS = 20

const NAMES = ['go', 'rust', 'js'] as const
// Before any test is declared, as ava requires all declarations at once.
const found = await Promise.all(NAMES.map(findPeer))
for (const [index, name] of NAMES.entries()) {
  const peer = found[index] ?? { missing: 'it was not looked for' }
  if ('missing' in peer) declareMissing(name, peer.missing)
  else for (const security of ['noise', 'tls'] as const) declare(name, peer.command, security)
}

function declare(name: string, command: readonly string[], security: SecurityName): void {
  let server: PeerServer
  test.before(`start ${name} over ${security}`, async () => {
    server = await startServer(command, STACKS[security])
  })
  test.after.always(`stop ${name} over ${security}`, () => server?.stop())

  test(`${name} over ${security}: another peer id is found out in the handshake`, async (t) => {
    const [addr, peer] = server.addr.split('/p2p/')
    const node = await createNode(t, { retry: { maxRetries: 0 } })
    const expected = (await createNode(t)).peerId
    const { cause, ...attempt } = await failureOf(node, `${addr}/p2p/${expected}`)
    t.like(attempt, { address: addr, stage: 'security' })
    t.is(cause.code, 'ERR_UNEXPECTED_PEER')
    t.is(cause.message, `expected peer ${expected}, found ${peer}`)
    t.regex(attempt.hint, /another peer listens there/)
  })

  // A single offer is sent together with the handshake, which then is not read.
  test(`${name} over ${security}: nothing in common but the muxer`, async (t) => {
    const node = await createNode(t, { retry: { maxRetries: 0 }, security: [OTHER[security]] })
    const { stage, cause, hint } = await failureOf(node, server.addr)
    t.deepEqual([stage, cause.code], ['security', 'ERR_UNSUPPORTED_PROTOCOL'])
    t.regex(hint, /the option security/)
  })

  // go 4
  test(`${name} over ${security}: two nodes that dial each other at once are connected`, async (t) => {
    for (let round = 0; round < ROUNDS; round += 1) {
      const node = await createNode(t, { security: [security], services: {} })
      await node.listen('/ip4/127.0.0.1/tcp/0')
      const ours = `${node.getListenAddrs()[0]}/p2p/${node.peerId}`
      const peer = server.addr.split('/p2p/')[1] ?? ''
      // Either side may use either connection from the first moment.
      const [answer, connection] = await Promise.all([
        server.dial(ours),
        node.dialPeer(peer, { addresses: [server.addr] })
      ])
      t.deepEqual(answer, { dialled: ours })
      t.deepEqual(await server.dial(ours), { dialled: ours })
      for await (const ms of ping(connection, { count: 1 })) t.true(ms > 0)
      await node.close({ drainTimeout: 0 })
    }
  })
}

/** Dials an address that has to fail; returns its attempt. */
async function failureOf(node: Swarm, addr: string): Promise<AddressAttempt> {
  try {
    await node.dialAddr(addr)
  } catch (err) {
    const [attempt] = err instanceof DialAllFailedError ? err.attempts : []
    if (attempt !== undefined) return attempt
    throw err
  }
  throw new Error(`${addr} can be dialled`)
}
