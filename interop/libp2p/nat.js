/**
 * What js-libp2p does about NATs: AutoNAT, DCUtR, and dials that are not the initiator. Runs under mocha, in the network
 * that nat.sh sets up.
 */
import { randomBytes } from 'node:crypto'
import { createServer } from 'node:net'
import { autoNATv2 } from '@libp2p/autonat-v2'
import { circuitRelayServer, circuitRelayTransport } from '@libp2p/circuit-relay-v2'
import { dcutr } from '@libp2p/dcutr'
import { identify } from '@libp2p/identify'
import { multiaddr } from '@multiformats/multiaddr'
import { expect } from 'chai'
import { eventually, PAIRINGS, startNode, stopNodes } from './nodes.js'
import { echo, readAll, sendAll } from './streams.js'

// As in nat.sh.
const CLIENT = '15.0.0.1'
const SERVERS = ['11.0.0.1', '12.0.0.1', '13.0.0.1', '14.0.0.1']
// Of no interface.
const UNREACHABLE = '16.0.0.1'
// Free in a namespace of its own.
const PORT = 4001

afterEach(stopNodes)

// Gives a service what the others of its node have, as services do.
const insight = () => (components) => ({ components })

const addressOf = (host) => `/ip4/${host}/tcp/${PORT}`

function start(kind, host, { services, ...options } = {}) {
  return startNode(kind, {
    addresses: { listen: [addressOf(host)] },
    services: { identify: identify(), insight: insight(), ...services },
    ...options
  })
}

describe('autonat', () => {
  for (const [clientKind, serverKind] of PAIRINGS) {
    it(`${serverKind} verifies the address of ${clientKind}`, async () => {
      const services = () => ({ autonat: autoNATv2({ protocolPrefix: 'test' }) })
      const servers = await Promise.all(
        SERVERS.map((host) => start(serverKind, host, { services: services() }))
      )
      const client = await start(clientKind, CLIENT, { services: services() })
      for (const [at, { peerId }] of servers.entries()) {
        await client.dial(multiaddr(`${addressOf(SERVERS[at])}/p2p/${peerId}`))
      }
      const { addressManager } = client.services.insight.components
      await eventually(
        () =>
          addressManager
            .getAddressesWithMetadata()
            .some(({ verified, lastVerified }) => verified && lastVerified > 0),
        'the verification'
      )
    })
  }
})

describe('dcutr', () => {
  for (const [dialerKind, listenerKind] of PAIRINGS) {
    it(`${dialerKind} reaches ${listenerKind} directly after a dial over a relay`, async () => {
      const relay = await start('ours', '127.0.0.1', { services: { relay: circuitRelayServer() } })
      const [address] = relay.getMultiaddrs()
      const client = (kind, addresses) =>
        start(kind, CLIENT, {
          addresses,
          transports: [circuitRelayTransport()],
          services: { dcutr: dcutr() }
        })
      const listener = await client(listenerKind, {
        listen: [addressOf(CLIENT), `${address}/p2p-circuit`],
        appendAnnounce: [addressOf(CLIENT)]
      })
      const relayed = await eventually(
        () => listener.getMultiaddrs().find((it) => `${it}`.includes('p2p-circuit')),
        'the reservation'
      )
      await listener.handle('/echo', echo, { runOnLimitedConnection: true })
      // The listener cannot dial the dialer, so it asks it to dial by DCUtR.
      const dialer = await client(dialerKind, {
        listen: [],
        announce: [addressOf(UNREACHABLE)]
      })
      const first = await dialer.dial(multiaddr(`${relayed}`))
      expect(first.limits).to.not.equal(undefined)
      const direct = await eventually(
        () => dialer.getConnections(listener.peerId).find(({ limits }) => limits === undefined),
        'the direct connection'
      )
      expect(`${direct.remoteAddr}`).to.include(`/ip4/${CLIENT}/tcp/`)
      const stream = await direct.newStream('/echo')
      const bytes = randomBytes(100_000)
      void sendAll(stream, bytes)
      expect(Buffer.compare(await readAll(stream), bytes)).to.equal(0)
    })
  }
})

// yamux of js-libp2p numbers its streams by who dialled, so it is not tried as the end that is not the initiator.
describe('a simultaneous open', () => {
  for (const [initiatorKind, otherKind] of PAIRINGS.filter(([, other]) => other === 'ours')) {
    it(`${initiatorKind} is the initiator, and ${otherKind} is not`, async () => {
      const [initiator, other] = await Promise.all([
        start(initiatorKind, SERVERS[0]),
        start(otherKind, SERVERS[1])
      ])
      await other.handle('/echo', echo)
      await initiator.handle('/echo', echo)
      const meeting = await meetingPoint()
      // The dial queue of libp2p 3.3 drops the option.
      const dial = (from, to, isInitiator) =>
        from.services.insight.components.transportManager.dial(
          multiaddr(`/ip4/127.0.0.1/tcp/${meeting.port}/p2p/${to.peerId}`),
          { initiator: isInitiator, signal: AbortSignal.timeout(20_000) }
        )
      const connections = await Promise.all([
        dial(initiator, other, true),
        dial(other, initiator, false)
      ])
      for (const connection of connections) {
        expect(connection.encryption).to.equal('/noise')
        const stream = await connection.newStream('/echo')
        const bytes = randomBytes(100_000)
        void sendAll(stream, bytes)
        expect(Buffer.compare(await readAll(stream), bytes)).to.equal(0)
      }
      meeting.close()
    })
  }
})

/** Joins two connections that come in, so that both ends have dialled. */
async function meetingPoint() {
  let waiting
  const server = createServer({ pauseOnConnect: true }, (socket) => {
    socket.on('error', () => {})
    if (waiting === undefined) {
      waiting = socket
      return
    }
    waiting.pipe(socket).pipe(waiting)
    waiting = undefined
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { port: server.address().port, close: () => server.close() }
}
