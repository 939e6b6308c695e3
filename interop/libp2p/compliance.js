/**
 * The compliance suites of js-libp2p over the components of ferroswarm/libp2p: each alone among stock components, and all
 * together. Runs under mocha.
 */
import { generateKeyPair } from '@libp2p/crypto/keys'
import encrypterSuite from '@libp2p/interface-compliance-tests/connection-encryption'
import muxerSuite from '@libp2p/interface-compliance-tests/stream-muxer'
import transportSuite from '@libp2p/interface-compliance-tests/transport'
import { defaultLogger } from '@libp2p/logger'
import { tcp as stockTcp } from '@libp2p/tcp'
import { webSockets as stockWebSockets } from '@libp2p/websockets'
import { TCP, WebSockets } from '@multiformats/multiaddr-matcher'
import { noise, tcp, tls, yamux } from './components.js'

const encrypters = { noise, tls }

/** Stock transports carry the bytes of our components; the native one needs none. */
const transports = {
  tcp: { make: tcp, matcher: TCP, listen: '/ip4/127.0.0.1/tcp/0' },
  '@libp2p/tcp': { make: stockTcp, matcher: TCP, listen: '/ip4/127.0.0.1/tcp/0' },
  '@libp2p/websockets': {
    make: stockWebSockets,
    matcher: WebSockets,
    listen: '/ip4/127.0.0.1/tcp/0/ws'
  }
}

const teardown = async () => {}

describe('yamux', () => {
  muxerSuite({ setup: async () => yamux()(), teardown })
})

for (const [name, encrypter] of Object.entries(encrypters)) {
  describe(name, () => {
    encrypterSuite({
      setup: async ({ privateKey } = {}) =>
        encrypter()({
          privateKey: privateKey ?? (await generateKeyPair('Ed25519')),
          logger: defaultLogger(),
          upgrader: { getStreamMuxers: () => new Map() }
        }),
      teardown
    })
  })
}

function transport({ make, matcher, listen }, components) {
  const config = () => ({ transports: [make()], ...components() })
  transportSuite({
    setup: async () => ({
      dialer: config(),
      listener: { ...config(), addresses: { listen: [listen, listen] } },
      dialMultiaddrMatcher: matcher,
      listenMultiaddrMatcher: matcher
    }),
    teardown
  })
}

describe('tcp among the components of the suite', () => {
  transport(transports.tcp, () => ({}))
})

for (const [name, parts] of Object.entries(transports)) {
  for (const [encrypterName, encrypter] of Object.entries(encrypters)) {
    describe(`${name} with ${encrypterName} and yamux`, () => {
      transport(parts, () => ({
        connectionEncrypters: [encrypter()],
        streamMuxers: [yamux()]
      }))
    })
  }
}
