/** The gate against go-libp2p: what its dialer sees of our refusals, at each hook and by a list. */
import test from 'ava'
import {
  DialAllFailedError,
  DialDeniedError,
  type RefusedDetail,
  type SwarmOptions
} from '../../ts/index.ts'
import { createNode } from '../support/pair.ts'
import {
  declareMissing,
  findPeer,
  type Security,
  STACKS,
  startServer
} from '../support/peer-program.ts'

/** Refusals, and what go calls the end of its connection. */
const REFUSALS: Readonly<Record<string, { options: SwarmOptions; message: RegExp }>> = {
  'a list': {
    options: { connections: { deny: ['127.0.0.0/8'] } },
    message: /failed to negotiate security protocol/
  },
  'the hook accept': {
    options: { gater: { accept: () => false } },
    message: /failed to negotiate security protocol/
  },
  'the hook secured': { options: { gater: { secured: async () => false } }, message: /./ },
  'the hook upgraded': {
    options: { gater: { upgraded: async () => false } },
    message: /connection failed/
  }
}

const found = await findPeer('go')
if ('missing' in found) {
  declareMissing('go', found.missing)
} else {
  for (const security of ['noise', 'tls'] as const) declareAll(security, found.command)
}

function declareAll(security: Security, command: readonly string[]): void {
  for (const [by, { options, message }] of Object.entries(REFUSALS)) {
    // go 91 92 93
    test.serial(`a dial of go over ${security} fails if ${by} refuses it`, async (t) => {
      const server = await startServer(command, STACKS[security])
      t.teardown(() => server.stop())
      const swarm = await createNode(t, { ...options, security: [security] })
      await swarm.listen('/ip4/127.0.0.1/tcp/0')
      const refused: RefusedDetail[] = []
      swarm.addEventListener('refused', ({ detail }) => void refused.push(detail))
      swarm.addEventListener('connected', () => t.fail('a refused connection was reported'))
      // It connects and pings: a muxer that the handshake has negotiated lets go connect before we answer.
      const answer = await server.dial(`${swarm.getListenAddrs()[0]}/p2p/${swarm.peerId}`)
      t.regex(String(answer.error), message)
      t.true(refused.length > 0)
      t.is(refused[0]?.direction, 'inbound')
    })
  }

  for (const [hook, stage] of [
    ['secured', 'security'],
    ['upgraded', 'muxer']
  ] as const) {
    // go 90 93
    test.serial(`a dial to go over ${security} fails if the hook ${hook} refuses it`, async (t) => {
      const server = await startServer(command, STACKS[security])
      t.teardown(() => server.stop())
      let isAllowed = false
      const swarm = await createNode(t, {
        security: [security],
        gater: { [hook]: async () => isAllowed }
      })
      const { attempts } = await t.throwsAsync(swarm.dialAddr(server.addr), {
        instanceOf: DialAllFailedError
      })
      t.is(attempts[0]?.stage, stage)
      t.true(attempts[0]?.cause instanceof DialDeniedError)
      isAllowed = true
      const connection = await swarm.dialAddr(server.addr)
      t.is(connection.state.muxer, '/yamux/1.0.0')
    })
  }
}
