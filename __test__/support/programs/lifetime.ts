/**
 * Brings a node into a state, then does nothing. An unreferenced timer prints `alive`, so it is printed exactly if
 * something else keeps the process alive.
 *
 *     node lifetime.ts <scene>
 */
import { createSwarm, type Swarm } from '../../../ts/swarm.ts'

const OPTIONS = { ioThreads: 1, services: { ping: false, identify: false } } as const
const LOCAL = '/ip4/127.0.0.1/tcp/0'
const CHECK_MS = 300

const SCENES: Readonly<Record<string, () => Promise<unknown>>> = {
  listening: () => listening(),
  closed: async () => (await listening()).close(),
  unlistened: async () => (await listening()).unlisten(LOCAL),
  unreferenced: async () => (await listening()).unref(),
  'referenced-again': async () => (await listening()).unref().ref(),
  'connection-of-an-unreferenced': async () => {
    const listener = (await listening()).unref()
    const dialer = (await createSwarm(OPTIONS)).unref()
    await dialer.dialPeer(listener.peerId, { addresses: listener.getListenAddrs() })
  },
  connected: async () => {
    const listener = (await listening()).unref()
    const dialer = await createSwarm(OPTIONS)
    await dialer.dialPeer(listener.peerId, { addresses: listener.getListenAddrs() })
  },
  disconnected: async () => {
    const listener = (await listening()).unref()
    const dialer = await createSwarm(OPTIONS)
    await dialer.dialPeer(listener.peerId, { addresses: listener.getListenAddrs() })
    await dialer.closePeer(listener.peerId)
  }
}

async function listening(): Promise<Swarm> {
  const swarm = await createSwarm(OPTIONS)
  await swarm.listen(LOCAL)
  return swarm
}

await SCENES[process.argv[2] ?? '']?.()
setTimeout(() => {
  console.log('alive')
  process.exit()
}, CHECK_MS).unref()
