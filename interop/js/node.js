import { readFile } from 'node:fs/promises'
import tls from 'node:tls'
import { echo } from '@libp2p/echo'
import { identify } from '@libp2p/identify'
import { ping } from '@libp2p/ping'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { components, transportOf } from './components.js'

/** High enough that no default of js-libp2p decides a result. */
export const UNLIMITED = 1_000_000
/** Timeout of a service for one stream. */
const STREAM_TIMEOUT_MS = 3_600_000

/** Encrypter and address format of each stack; QUIC has a security protocol and streams of its own. */
const STACKS = {
  'tcp-noise-yamux': { encrypter: 'noise', format: (port) => `/tcp/${port}` },
  'tcp-tls-yamux': { encrypter: 'tls', format: (port) => `/tcp/${port}` },
  'ws-noise-yamux': { encrypter: 'noise', format: (port) => `/tcp/${port}/ws` },
  'ws-tls-yamux': { encrypter: 'tls', format: (port) => `/tcp/${port}/ws` },
  'wss-noise-yamux': { encrypter: 'noise', format: (port) => `/tcp/${port}/tls/ws` },
  'wss-tls-yamux': { encrypter: 'tls', format: (port) => `/tcp/${port}/tls/ws` },
  quic: { encrypter: 'noise', format: (port) => `/udp/${port}/quic-v1` }
}

/**
 * Starts a node with one stack, no limits and a fresh Ed25519 key. Its transport is that of `addr`, which it listens on
 * if it is a server.
 */
export async function createNode(options, addr) {
  const { encrypter } = stackOf(options)
  return await createLibp2p({
    addresses: { listen: options.mode === 'server' ? [addr.toString()] : [] },
    transports: [await createTransport(options, addr)],
    ...(await privateNetwork(options)),
    connectionEncrypters: [components[encrypter]()],
    streamMuxers: [
      components.yamux({
        maxInboundStreams: UNLIMITED,
        maxOutboundStreams: UNLIMITED,
        maxEarlyStreams: UNLIMITED
      })
    ],
    connectionMonitor: { enabled: false },
    connectionManager: {
      maxConnections: UNLIMITED,
      maxParallelDials: UNLIMITED,
      maxDialQueueLength: UNLIMITED,
      maxIncomingPendingConnections: UNLIMITED,
      inboundConnectionThreshold: UNLIMITED
    },
    services: {
      // Its protocol is then /bench/echo/1.0.0.
      echo: echo({
        protocolPrefix: 'bench',
        timeout: STREAM_TIMEOUT_MS,
        maxInboundStreams: UNLIMITED,
        maxOutboundStreams: UNLIMITED
      }),
      identify: identify({ maxInboundStreams: UNLIMITED, maxOutboundStreams: UNLIMITED }),
      ping: ping({
        timeout: STREAM_TIMEOUT_MS,
        maxInboundStreams: UNLIMITED,
        maxOutboundStreams: UNLIMITED
      })
    }
  })
}

/** Trusts the roots of a file in the whole process, as a dial over WebSocket takes none. */
export async function trustRoots(path) {
  const roots = await readFile(path, 'utf8')
  tls.setDefaultCACertificates([...tls.getCACertificates(), roots])
}

/** Returns the address of `--listen`: a multiaddr, or `host:port` for the transport of the stack. */
export function listenMultiaddr(options) {
  const { listen } = options
  if (listen.startsWith('/')) return multiaddr(listen)
  const separator = listen.lastIndexOf(':')
  const host = listen.slice(0, separator).replace(/^\[(.*)\]$/, '$1')
  const port = listen.slice(separator + 1)
  return multiaddr(`/${host.includes(':') ? 'ip6' : 'ip4'}/${host}${stackOf(options).format(port)}`)
}

function stackOf({ stack }) {
  if (!Object.hasOwn(STACKS, stack)) throw new Error(`unknown stack ${stack}`)
  return STACKS[stack]
}

async function createTransport(options, addr) {
  const names = addr.getComponents().map(({ name }) => name)
  if (names.includes('quic-v1')) return (await transportOf('quic'))()
  if (names.includes('ws') || names.includes('wss')) {
    return (await transportOf('webSockets'))(await secureServer(options))
  }
  // A timeout of 0 turns the socket's inactivity timer off.
  return (await transportOf('tcp'))({
    inboundSocketInactivityTimeout: 0,
    outboundSocketInactivityTimeout: 0
  })
}

/** Resolves to the options of WebSockets with a certificate, if there is one. */
async function secureServer({ cert, key }) {
  if (cert === undefined) return {}
  return { https: { cert: await readFile(cert), key: await readFile(key) } }
}

async function privateNetwork({ psk }) {
  if (psk === undefined) return {}
  const { preSharedKey } = await import('@libp2p/pnet')
  return { connectionProtector: preSharedKey({ psk: await readFile(psk) }) }
}
