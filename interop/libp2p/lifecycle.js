/** Admission of connections, and nodes that start, listen and stop. Runs under mocha. */
import { connect, createServer } from 'node:net'
import { noise as stockNoise } from '@libp2p/noise'
import { ping } from '@libp2p/ping'
import { multiaddr } from '@multiformats/multiaddr'
import { expect } from 'chai'
import { isNative } from './components.js'
import { connected, eventually, portOf, startNode, stopNodes } from './nodes.js'
import { once } from './streams.js'

afterEach(stopNodes)

const CARRIERS = [
  ['native', {}],
  ['carried by JavaScript', { connectionEncrypters: [stockNoise()] }]
]

describe('admission', () => {
  it('a gater is asked once, before the handshake', async () => {
    const asked = []
    const connectionGater = {
      denyInboundConnection: (maConn) => {
        asked.push(`${maConn.remoteAddr}`)
        return true
      },
      denyInboundEncryptedConnection: () => {
        throw new Error('the handshake has run')
      }
    }
    const listener = await startNode('ours', { connectionGater })
    const dialer = await startNode('ours')
    const error = await dialer.dial(listener.getMultiaddrs()).catch((err) => err)
    expect(error).to.be.an('error')
    expect(asked).to.have.lengthOf(1)
    expect(asked[0]).to.match(/^\/ip4\/127\.0\.0\.1\/tcp\/\d+$/)
  })

  it('remotes that are silent take the pending places, and garbage frees them at once', async () => {
    const listener = await startNode('ours', {
      connectionManager: { maxIncomingPendingConnections: 2, inboundConnectionThreshold: 1_000 },
      services: { ping: ping() }
    })
    const port = portOf(listener)
    const open = () => {
      const socket = connect(port, '127.0.0.1')
      socket.on('error', () => {})
      return { socket, closed: new Promise((resolve) => socket.once('close', resolve)) }
    }
    const silent = [open(), open()]
    await new Promise((resolve) => setTimeout(resolve, 100))
    await open().closed
    for (const { socket, closed } of silent) {
      socket.write('GET / HTTP/1.1\r\n\r\n')
      await closed
    }
    const dialer = await startNode('ours', { services: { ping: ping() } })
    expect(await dialer.services.ping.ping(listener.getMultiaddrs()[0])).to.be.at.least(0)
  })

  it('a remote that is silent is closed after the timeouts of libp2p', async () => {
    const listener = await startNode('ours', {
      connectionManager: {
        inboundUpgradeTimeout: 300,
        inboundStreamProtocolNegotiationTimeout: 300
      }
    })
    const socket = connect(portOf(listener), '127.0.0.1')
    socket.on('error', () => {})
    await new Promise((resolve) => socket.once('close', resolve))

    const dialer = await startNode('js')
    const connection = await dialer.dial(listener.getMultiaddrs())
    // Without a proposal.
    const stream = await connection.muxer.createStream()
    expect((await once(stream, 'close')).error).to.be.an('error')
    expect(connection.status).to.equal('open')
  })

  it('the rate limit of libp2p counts every connection once', async () => {
    const listener = await startNode('ours', {
      connectionManager: { inboundConnectionThreshold: 5 }
    })
    const outcomes = []
    for (let count = 0; count < 7; count += 1) {
      const dialer = await startNode('ours')
      outcomes.push(
        await dialer.dial(listener.getMultiaddrs()).then(
          () => 'admitted',
          () => 'refused'
        )
      )
    }
    expect(outcomes.slice(0, 5)).to.deep.equal(Array(5).fill('admitted'))
    expect(outcomes.slice(5)).to.include('refused')
  })

  it('another peer than the dialled one is refused by name', async () => {
    const [listener, dialer, other] = await Promise.all([
      startNode('ours'),
      startNode('ours'),
      startNode('ours')
    ])
    const address = `${listener.getMultiaddrs()[0]}`.replace(
      `${listener.peerId}`,
      `${other.peerId}`
    )
    const error = await dialer.dial(multiaddr(address)).catch((err) => err)
    expect(error.name).to.equal('UnexpectedPeerError')
  })

  it('a port that nobody listens on is ECONNREFUSED', async () => {
    const dialer = await startNode('ours')
    const error = await dialer.dial(multiaddr('/ip4/127.0.0.1/tcp/1')).catch((err) => err)
    expect(error.code).to.equal('ECONNREFUSED')
    expect(error.message).to.match(/^connection error 127\.0\.0\.1:1: /)
    expect([error.syscall, error.address, error.port]).to.deep.equal(['connect', '127.0.0.1', 1])
  })

  it('a remote that does not speak libp2p is EncryptionFailedError', async () => {
    const server = createServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'))
    server.listen(0, '127.0.0.1')
    await new Promise((resolve) => server.once('listening', resolve))
    const dialer = await startNode('ours')
    const address = multiaddr(`/ip4/127.0.0.1/tcp/${server.address().port}`)
    const error = await dialer.dial(address).catch((err) => err)
    server.close()
    expect(error.name).to.equal('EncryptionFailedError')
    expect(error.cause).to.be.an('error')
  })

  for (const [title, options] of CARRIERS) {
    it(`a name that is listened on is announced, with connections that are ${title}`, () =>
      announcesNames(options))
  }

  async function announcesNames(options) {
    const listener = await startNode('ours', {
      ...options,
      addresses: { listen: ['/dns4/localhost/tcp/0'] },
      services: { ping: ping() }
    })
    const [address] = listener.getMultiaddrs()
    expect(`${address}`).to.match(/^\/dns4\/localhost\/tcp\/[1-9]\d*\/p2p\//)
    const dialer = await startNode('ours', { services: { ping: ping() } })
    expect(await dialer.services.ping.ping(address)).to.be.at.least(0)
  }
})

describe('a node', () => {
  it('starts again after a stop, on the same port', async () => {
    const listener = await startNode('ours', { services: { ping: ping() } })
    const dialer = await startNode('ours', { services: { ping: ping() } })
    for (let count = 0; count < 3; count += 1) {
      await dialer.services.ping.ping(listener.getMultiaddrs()[0])
      await listener.stop()
      await eventually(() => dialer.getConnections().length === 0, 'the end of the connection')
      await listener.start()
    }
  })

  for (const [title, options] of CARRIERS) {
    it(`with connections that are ${title} does not listen once its listener is closed`, () =>
      closesListeners(options))
  }

  async function closesListeners(options) {
    const { components } = await startNode('ours', options)
    const { upgrader } = components
    const [transport] = components.transportManager.getTransports()
    const listener = transport.createListener({ upgrader })
    const listening = listener.listen(multiaddr('/dns4/localhost/tcp/0')).catch((err) => err)
    // While it begins to.
    await listener.close()
    expect(await listening).to.be.an('error')
    expect(listener.getAddrs()).to.deep.equal([])
    const late = await listener.listen(multiaddr('/ip4/127.0.0.1/tcp/0')).catch((err) => err)
    expect(late.name).to.equal('ConnectionClosedError')
    const again = transport.createListener({ upgrader })
    await again.listen(multiaddr('/ip4/127.0.0.1/tcp/0'))
    expect(again.getAddrs()).to.have.lengthOf(1)
    await Promise.all([again.close(), again.close()])
    expect(again.getAddrs()).to.deep.equal([])
  }

  it('dials a name, and listens on IPv6 and on every interface', async () => {
    const listener = await startNode('ours', {
      addresses: { listen: ['/ip4/0.0.0.0/tcp/0', '/ip6/::1/tcp/0'] },
      services: { ping: ping() }
    })
    const dialer = await startNode('ours', { services: { ping: ping() } })
    const addresses = listener.getMultiaddrs().map(String)
    expect(addresses.some((it) => it.startsWith('/ip4/127.0.0.1/'))).to.equal(true)
    const loopback6 = addresses.find((it) => it.startsWith('/ip6/::1/'))
    await dialer.services.ping.ping(multiaddr(loopback6))
    await Promise.all(dialer.getConnections().map((connection) => connection.close()))
    const byName = addresses
      .find((it) => it.startsWith('/ip4/127.0.0.1/'))
      .replace('/ip4/127.0.0.1/', '/dns4/localhost/')
    await dialer.services.ping.ping(multiaddr(byName))
    expect(`${dialer.getConnections()[0].remoteAddr}`).to.include('/dns4/localhost/')
  })

  it('tells which of its connections are native', async () => {
    const { connection, remote } = await connected('ours', 'js')
    expect([connection, remote].map(isNative)).to.deep.equal([true, false])
    const { connection: carried } = await connected('ours', 'ours', {
      connectionEncrypters: [stockNoise()]
    })
    expect(isNative(carried)).to.equal(false)
  })

  it('refuses to listen twice on a port', async () => {
    const first = await startNode('ours')
    const [address] = first.getMultiaddrs()
    const error = await startNode('ours', {
      addresses: { listen: [`${address}`.split('/p2p')[0]] }
    }).catch((err) => err)
    expect(error).to.be.an('error')
    expect(`${error.message} ${error.cause ?? ''} ${error.errors ?? ''}`).to.match(
      /address in use|EADDRINUSE|could not|no valid|failed/i
    )
  })
})
