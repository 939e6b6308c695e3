import { fetch } from '@libp2p/fetch'
import { identify } from '@libp2p/identify'
import { kadDHT, removePublicAddressesMapper } from '@libp2p/kad-dht'
import { noise } from '@libp2p/noise'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { createLibp2p } from 'libp2p'

/** Starts a node of the library. */
export function createNode() {
  return createLibp2p({
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    services: {
      dht: kadDHT({
        protocol: '/library/kad/1.0.0',
        clientMode: false,
        peerInfoMapper: removePublicAddressesMapper
      }),
      fetch: fetch(),
      identify: identify(),
      ping: ping()
    }
  })
}
