import { echo } from '@libp2p/echo'
import { identify } from '@libp2p/identify'
import { ping } from '@libp2p/ping'
import { createLibp2p } from 'libp2p'
import { components } from './components.js'

/** High enough that no default of js-libp2p decides a result. */
export const UNLIMITED = 1_000_000
/** Timeout of a service for one stream. */
const STREAM_TIMEOUT_MS = 3_600_000

/** Starts a node with one stack, no limits and a fresh Ed25519 key. No address means no listener. */
export async function createNode(stack, listenAddrs = []) {
  const { noise, tcp, tls, yamux } = components
  const encrypter = { 'tcp-noise-yamux': noise, 'tcp-tls-yamux': tls }[stack]
  if (encrypter === undefined) {
    throw new Error(`unknown stack ${stack}`)
  }
  return await createLibp2p({
    addresses: { listen: listenAddrs },
    // A timeout of 0 turns the socket's inactivity timer off.
    transports: [tcp({ inboundSocketInactivityTimeout: 0, outboundSocketInactivityTimeout: 0 })],
    connectionEncrypters: [encrypter()],
    streamMuxers: [
      yamux({
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

export function tcpMultiaddr(hostPort) {
  const separator = hostPort.lastIndexOf(':')
  const host = hostPort.slice(0, separator).replace(/^\[(.*)\]$/, '$1')
  return `/${host.includes(':') ? 'ip6' : 'ip4'}/${host}/tcp/${hostPort.slice(separator + 1)}`
}
