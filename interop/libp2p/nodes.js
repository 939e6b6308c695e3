/** Nodes of js-libp2p as their users configure them, with stock components or with ours. */
import { noise as stockNoise } from '@libp2p/noise'
import { tcp as stockTcp } from '@libp2p/tcp'
import { yamux as stockYamux } from '@libp2p/yamux'
import { noise, tcp, yamux } from './components.js'

// Or another version of it, by the name of its package.
const { createLibp2p } = await import(process.env.LIBP2P ?? 'libp2p')

const KINDS = {
  ours: { tcp, noise, yamux },
  js: { tcp: stockTcp, noise: stockNoise, yamux: stockYamux }
}

/** Who dials whom. */
export const PAIRINGS = [
  ['ours', 'ours'],
  ['ours', 'js'],
  ['js', 'ours']
]

let started = []

/** Configuration of a node that listens on loopback, with `options` added. */
export function configuration(kind, { transports = [], ...options } = {}) {
  const { tcp, noise, yamux } = KINDS[kind]
  return {
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    transports: [tcp(), ...transports],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    ...options
  }
}

/** Starts a node. */
export async function startNode(kind, options) {
  const node = await createLibp2p(configuration(kind, options))
  started.push(node)
  return node
}

/** Stops every node that was started. */
export async function stopNodes() {
  const nodes = started
  started = []
  await Promise.all(nodes.map((node) => node.stop()))
}

/** Resolves to the first truthy result of `check`, which may be asynchronous. */
export async function eventually(check, what, ms = 20_000) {
  const end = Date.now() + ms
  for (;;) {
    const result = await check()
    if (result) return result
    if (Date.now() > end) throw new Error(`${what} did not happen within ${ms} ms`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

/** Declares a test for each pairing; under mocha. */
export function pairs(title, run, pairings = PAIRINGS) {
  describe(title, () => {
    for (const kinds of pairings) it(kinds.join(' dials '), () => run(...kinds))
  })
}

/** Starts two nodes and dials; resolves to them, and the connection as both ends have it. */
export async function connected(
  dialerKind,
  listenerKind,
  dialerOptions = {},
  listenerOptions = {}
) {
  const [dialer, listener] = await Promise.all([
    startNode(dialerKind, dialerOptions),
    startNode(listenerKind, listenerOptions)
  ])
  const connection = await dialer.dial(listener.getMultiaddrs())
  const remote = await eventually(() => listener.getConnections()[0], 'the inbound connection')
  return { dialer, listener, connection, remote }
}

/** Returns the port that a node listens on. */
export function portOf(node) {
  const [address] = node.getMultiaddrs()
  return Number(address.getComponents().find(({ name }) => name === 'tcp').value)
}
