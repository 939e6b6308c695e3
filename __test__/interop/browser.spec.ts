/** js-libp2p in a page of Chromium dials us. */
import test from 'ava'
import type { SwarmOptions } from '../../ts/index.ts'
import { agentVersion } from '../../ts/protocols/identify.ts'
import { serveContract } from '../support/contract.ts'
import { createNode } from '../support/pair.ts'
import {
  declareMissing,
  findPeer,
  peerFiles,
  runClient,
  type Stack
} from '../support/peer-program.ts'

const PINGS = 5
const BYTES = 16 * 1024 * 1024

interface Case {
  readonly stack: Stack
  readonly listen: string
  readonly options: SwarmOptions
  readonly flags: readonly string[]
}

const { cert, key, spki } = await peerFiles()
const CASES: readonly Case[] = [
  { stack: 'ws-noise-yamux', listen: '/ip4/127.0.0.1/tcp/0/ws', options: {}, flags: [] },
  {
    stack: 'wss-noise-yamux',
    listen: '/ip4/127.0.0.1/tcp/0/tls/ws',
    options: { webSocket: { certificate: { cert, key } } },
    flags: ['--spki', spki]
  }
]

const found = await findPeer('browser')
if ('missing' in found) {
  declareMissing('browser', found.missing)
} else {
  for (const { stack, listen, options, flags } of CASES) {
    // Serial: each starts a browser.
    test.serial(`a page over ${stack} identifies and pings us, and gets 16 MiB back`, async (t) => {
      const swarm = await createNode(t, { ...options, services: {} })
      serveContract(swarm)
      await swarm.listen(listen)
      const addr = `${swarm.getListenAddrs()[0]}/p2p/${swarm.peerId}`
      const load = { stack, addr, workload: 'browse', n: PINGS, bytes: BYTES }
      const line = await runClient(t, found.command, load, flags)
      t.like(line, { ops: PINGS, bytes: BYTES, agentVersion: agentVersion() })
      t.is((line.ping_ms as number[]).length, PINGS)
    })
  }
}
