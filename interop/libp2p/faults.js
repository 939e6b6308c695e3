/** What goes wrong with streams and connections, with our components at one end or both. Runs under mocha. */
import { randomBytes } from 'node:crypto'
import { connect, createServer } from 'node:net'
import { identify } from '@libp2p/identify'
import { noise as stockNoise } from '@libp2p/noise'
import { ping } from '@libp2p/ping'
import { lpStream, multiaddrConnectionPair, streamPair } from '@libp2p/utils'
import { yamux as stockYamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { expect } from 'chai'
import { yamux } from './components.js'
import { connected, eventually, PAIRINGS, pairs, portOf, startNode, stopNodes } from './nodes.js'
import { block, echo, once, readAll, sendAll, write } from './streams.js'

afterEach(stopNodes)

const MANY = 1_000
const UNLIMITED = { maxInboundStreams: MANY * 2, maxOutboundStreams: MANY * 2 }

/** Identify at the dialer alone: it learns what the listener speaks, and is not told of changes. */
const IDENTIFYING = () => ({ services: { identify: identify() } })

pairs(
  'a protocol that the peer has dropped since ends the stream with its reason',
  async (...kinds) => {
    const { dialer, listener, connection } = await connected(...kinds, IDENTIFYING(), IDENTIFYING())
    await listener.handle('/dropped', echo)
    await dialer.services.identify.identify(connection).catch(() => {})
    await (await connection.newStream('/dropped')).close()
    await listener.unhandle('/dropped')
    const stream = await connection.newStream('/dropped').catch((err) => err)
    // One that was known to be spoken is usable at once, and fails when the answer is there.
    const error = stream instanceof Error ? stream : (await once(stream, 'close')).error
    expect(error.name).to.equal('UnsupportedProtocolError')
    // From then on the peer is asked.
    const next = await connection.newStream('/dropped').catch((err) => err)
    expect(next.name).to.equal('UnsupportedProtocolError')
    expect(connection.status).to.equal('open')
  }
)

// More than both ends have room for.
const MUCH = 8_000_000

pairs(
  'a stream that is reset before everything was handed down rejects its close',
  async (...kinds) => {
    const { listener, connection } = await connected(...kinds)
    await listener.handle('/reset', (stream) => {
      stream.pause()
      setTimeout(() => stream.abort(new Error('no more')), 100)
    })
    const stream = await connection.newStream('/reset')
    stream.send(new Uint8Array(MUCH))
    const error = await stream.close().catch((err) => err)
    expect((error.error ?? error).name).to.equal('StreamResetError')
  },
  [
    ['ours', 'ours'],
    ['ours', 'js']
  ]
)

describe('an end in good order', () => {
  it('of a connection delivers what a stream that is being closed has accepted', async () => {
    const { listener, connection } = await connected('ours', 'ours')
    let received = 0
    const ended = new Promise((resolve) => {
      listener.handle('/much', async (stream) => {
        for await (const chunk of stream) received += chunk.byteLength
        resolve()
      })
    })
    const stream = await connection.newStream('/much')
    stream.send(new Uint8Array(MUCH))
    const closed = Promise.all([stream.close(), stream.close()])
    await connection.close({ signal: AbortSignal.timeout(20_000) })
    await Promise.all([closed, ended])
    expect(received).to.equal(MUCH)
  })

  it('lets a paused stream resume', async () => {
    const { listener, connection } = await connected('ours', 'ours')
    const taken = new Promise((resolve) => {
      listener.handle('/paused', (stream) => {
        stream.addEventListener('message', () => {
          stream.pause()
          void stream.close()
        })
        resolve(stream)
      })
    })
    const stream = await connection.newStream('/paused')
    stream.send(new Uint8Array(10))
    await stream.close()
    const far = await taken
    await eventually(() => far.status === 'closed', 'the end')
    far.resume()
    expect(far.readStatus).to.equal('closed')
  })

  for (const [title, options] of [
    ['native', {}],
    ['carried by JavaScript', { connectionEncrypters: [stockNoise()] }]
  ]) {
    it(`ends an iteration that begins after it, on a connection that is ${title}`, () =>
      iteratesLate(options))
  }

  async function iteratesLate(options) {
    const { listener, connection } = await connected('ours', 'ours', options, options)
    const taken = new Promise((resolve) => {
      listener.handle('/late', resolve)
    })
    const stream = await connection.newStream('/late')
    stream.send(new Uint8Array(10))
    await stream.close()
    const far = await taken
    await eventually(() => far.remoteWriteStatus === 'closed', 'the end')
    expect((await readAll(far)).length).to.equal(10)
    expect((await readAll(far)).length).to.equal(0)
  }
})

describe('what streams deliver are Buffers, as those of the stock components', () => {
  for (const [title, options] of [
    ['native', {}],
    ['over a stock encrypter', { connectionEncrypters: [stockNoise()] }],
    ['over our encrypter, by a stock muxer', { streamMuxers: [stockYamux()] }]
  ]) {
    it(title, async () => {
      const { listener, connection } = await connected('js', 'ours', {}, options)
      const received = []
      const done = new Promise((resolve, reject) => {
        listener.handle('/parsed', async (stream) => {
          for await (const chunk of stream) received.push(...chunk)
          await stream.close().then(resolve, reject)
        })
      })
      const stream = await connection.newStream('/parsed')
      stream.send(new TextEncoder().encode('{"answer":'))
      // More than one read, and less than a whole one.
      stream.send(new TextEncoder().encode(`"${'x'.repeat(100_000)}"}`))
      await stream.close()
      await done
      for (const part of received) expect(part).to.be.an.instanceOf(Buffer)
      expect(JSON.parse(received.join('')).answer).to.have.length(100_000)
    })
  }
})

describe('a muxer over a stream of JavaScript', () => {
  it('passes room on when those who waited for it gave up', async () => {
    const [near, far] = multiaddrConnectionPair()
    const [muxer, remote] = [near, far].map((end) => yamux()().createStreamMuxer(end))
    remote.addEventListener('stream', () => {})
    // Nothing is acknowledged.
    far.pause()
    const open = []
    const fill = async () => {
      for (;;) open.push(await muxer.createStream({ signal: AbortSignal.timeout(200) }))
    }
    expect((await fill().catch((err) => err)).name).to.equal('TimeoutError')
    const giveUp = new AbortController()
    const { signal } = giveUp
    const waiting = Array.from({ length: 3 }, () => muxer.createStream({ signal }))
    const last = muxer.createStream()
    giveUp.abort()
    for (const result of await Promise.allSettled(waiting)) {
      expect(result.status).to.equal('rejected')
    }
    open[0].abort(new Error('makes room'))
    expect((await last).status).to.equal('open')
    muxer.abort(new Error('the end of the test'))
  })
})

describe('a muxer over a stream that takes nothing any more', () => {
  it('aborts its streams', async () => {
    const [near] = await streamPair()
    const muxer = yamux()().createStreamMuxer(near)
    const stream = await muxer.createStream()
    await near.close()
    stream.send(new Uint8Array(10))
    await eventually(() => stream.status === 'aborted', 'the abort')
    expect(muxer.status).to.equal('closed')
  })
})

describe('negotiateFully', () => {
  for (const listenerKind of ['ours', 'js']) {
    it(`decides whether a stream to ${listenerKind} waits for the answer`, async () => {
      const { dialer, listener, connection } = await connected('ours', listenerKind)
      await listener.handle('/spoken', echo)
      const early = await connection.newStream('/unknown', { negotiateFully: false })
      expect((await once(early, 'close')).error.name).to.equal('UnsupportedProtocolError')
      const { protocols } = await dialer.peerStore.get(listener.peerId)
      expect(protocols).to.not.include('/unknown')
      await (await connection.newStream('/spoken')).close()
      await listener.unhandle('/spoken')
      const error = await connection
        .newStream('/spoken', { negotiateFully: true })
        .catch((err) => err)
      expect(error.name).to.equal('UnsupportedProtocolError')
    })

    it(`and the limits of a buffer hold on a stream to ${listenerKind} either way`, async () => {
      const { listener, connection } = await connected('ours', listenerKind)
      await listener.handle('/spoken', echo)
      for (const negotiateFully of [true, false]) {
        const options = { negotiateFully, maxReadBufferLength: 12_345 }
        const stream = await connection.newStream('/spoken', options)
        expect(stream.maxReadBufferLength).to.equal(12_345)
        await stream.close()
      }
    })
  }
})

pairs(
  `a gater that waits while ${MANY} streams are opened`,
  async (...kinds) => {
    const connectionGater = {
      denyInboundUpgradedConnection: async () => {
        await new Promise((resolve) => setTimeout(resolve, 300))
        return false
      }
    }
    const [dialer, listener] = [
      await startNode(kinds[0]),
      await startNode(kinds[1], { connectionGater })
    ]
    let served = 0
    await listener.handle(
      '/early',
      async (stream) => {
        served += 1
        await echo(stream)
      },
      UNLIMITED
    )
    const connection = await dialer.dial(listener.getMultiaddrs())
    const texts = await Promise.all(
      Array.from({ length: MANY }, async (_, count) => {
        const stream = await connection.newStream('/early', UNLIMITED)
        void sendAll(stream, Buffer.from(`${count}`))
        return `${await readAll(stream)}`
      })
    )
    expect(texts).to.deep.equal(Array.from({ length: MANY }, (_, count) => `${count}`))
    expect(served).to.equal(MANY)
  },
  [['ours', 'ours']]
)

pairs('300 streams at once', async (...kinds) => {
  const { listener, connection } = await connected(...kinds)
  await listener.handle('/many', echo, UNLIMITED)
  const sizes = await Promise.all(
    Array.from({ length: 300 }, async (_, count) => {
      const stream = await connection.newStream('/many', UNLIMITED)
      const bytes = randomBytes(count * 10)
      void sendAll(stream, bytes)
      return Buffer.compare(await readAll(stream), bytes)
    })
  )
  expect(sizes.every((difference) => difference === 0)).to.equal(true)
  await eventually(() => connection.streams.length === 0, 'the end of every stream')
})

pairs(
  'data, its end and the end of the connection in one read while JavaScript is busy',
  async (...kinds) => {
    const { listener, connection, remote } = await connected(...kinds)
    const bytes = randomBytes(200 << 10)
    let received
    await listener.handle('/last', async (stream) => {
      received = await readAll(stream)
    })
    const stream = await connection.newStream('/last')
    await sendAll(stream, bytes)
    const closed = connection.close()
    block(200)
    await closed
    await eventually(() => received !== undefined, 'the end of the stream')
    expect(Buffer.compare(received, bytes)).to.equal(0)
    await eventually(() => remote.status === 'closed', 'the end of the connection')
  }
)

for (const size of [1 << 10, 300 << 10, 3 << 20]) {
  pairs(`a close with ${size >> 10} KiB queued delivers them`, async (...kinds) => {
    const { listener, connection } = await connected(...kinds)
    let received
    await listener.handle('/queued', async (stream) => {
      received = await readAll(stream)
    })
    const bytes = randomBytes(size)
    const stream = await connection.newStream('/queued')
    stream.send(bytes)
    await stream.close()
    await connection.close()
    await eventually(() => received !== undefined, 'the end of the stream')
    expect(Buffer.compare(received, bytes)).to.equal(0)
  })
}

pairs('a lost connection ends its streams, and what has arrived can be read', async (...kinds) => {
  const [dialer, listener] = [await startNode(kinds[0]), await startNode(kinds[1])]
  const proxy = await startProxy(portOf(listener))
  const address = `/ip4/127.0.0.1/tcp/${proxy.port}/p2p/${listener.peerId}`
  const connection = await dialer.dial(multiaddr(address))
  const remote = await eventually(() => listener.getConnections()[0], 'the inbound connection')
  const opened = new Promise((resolve) => listener.handle('/lost', resolve))
  const stream = await connection.newStream('/lost')
  stream.send(Buffer.from('before'))
  const inbound = await opened
  await eventually(() => inbound.readBufferLength === 6, 'the arrival')
  const order = []
  for (const [name, target] of Object.entries({ inbound, remote, stream, connection })) {
    target.addEventListener('close', () => order.push(name))
  }
  proxy.cut()
  await eventually(() => order.length === 4, 'the end of both')
  expect(order.indexOf('inbound')).to.be.below(order.indexOf('remote'))
  expect(order.indexOf('stream')).to.be.below(order.indexOf('connection'))
  expect(inbound.status).to.not.equal('open')
  const late = once(inbound, 'message')
  expect(Buffer.from((await late).data.subarray()).toString()).to.equal('before')
  await eventually(() => listener.getConnections().length === 0, 'the list of the listener')
  expect(dialer.getConnections()).to.deep.equal([])
})

pairs('an abort reaches the other end as a reset', async (...kinds) => {
  const { listener, connection } = await connected(...kinds)
  const opened = new Promise((resolve) => listener.handle('/abort', resolve))
  const stream = await connection.newStream('/abort')
  stream.send(Buffer.from('x'))
  const inbound = await opened
  const [far, near] = [once(inbound, 'close'), once(stream, 'close')]
  const reason = new Error('enough')
  stream.abort(reason)
  expect(stream.status).to.equal('aborted')
  const closed = await near
  expect(closed.error).to.equal(reason)
  expect(closed.local).to.equal(true)
  const reset = await far
  expect(reset.error.name).to.equal('StreamResetError')
  expect(reset.local).to.equal(false)
  expect(inbound.status).to.equal('reset')
  expect(() => stream.send(Buffer.from('y')))
    .to.throw()
    .with.property('name', 'StreamStateError')
})

pairs('a paused stream holds the sender back, and loses nothing', async (...kinds) => {
  const { listener, connection } = await connected(...kinds)
  const opened = new Promise((resolve) => listener.handle('/pause', resolve))
  const stream = await connection.newStream('/pause')
  const bytes = randomBytes(4 << 20)
  let sent = 0
  const sending = (async () => {
    for (; sent < bytes.length; sent += 65_536) {
      await write(stream, bytes.subarray(sent, sent + 65_536))
    }
    await stream.close()
  })()
  const inbound = await opened
  inbound.pause()
  const chunks = []
  inbound.addEventListener('message', ({ data }) => chunks.push(data.subarray()))
  await new Promise((resolve) => setTimeout(resolve, 300))
  expect(sent).to.be.below(2 << 20)
  expect(chunks).to.deep.equal([])
  const ended = once(inbound, 'end')
  inbound.resume()
  await Promise.all([sending, ended])
  expect(Buffer.compare(Buffer.concat(chunks), bytes)).to.equal(0)
})

pairs(
  'an abort at any moment of a dial and of a stream leaves nothing behind',
  async (...kinds) => {
    const connectionManager = { inboundConnectionThreshold: 1_000 }
    const [dialer, listener] = [
      await startNode(kinds[0]),
      await startNode(kinds[1], { connectionManager })
    ]
    await listener.handle('/any', echo)
    const [address] = listener.getMultiaddrs()
    for (let ms = 0; ms < 12; ms += 0.25) {
      const controller = new AbortController()
      const { signal } = controller
      setTimeout(() => controller.abort(), ms)
      await dialer
        .dial(address, { signal })
        .then((connection) => connection.newStream('/any', { signal }))
        .catch((err) => err)
      await Promise.all(dialer.getConnections().map((connection) => connection.close()))
    }
    await eventually(
      () => dialer.getConnections().length + listener.getConnections().length === 0,
      'the end of every connection'
    )
    const stream = await dialer.dialProtocol(address, '/any')
    void sendAll(stream, Buffer.from('still here'))
    expect(`${await readAll(stream)}`).to.equal('still here')
  }
)

/** A proxy whose connections can be cut. */
async function startProxy(target) {
  const sockets = new Set()
  const server = createServer((near) => {
    const far = connect(target, '127.0.0.1')
    for (const socket of [near, far]) {
      sockets.add(socket)
      socket.on('error', () => {})
    }
    near.pipe(far).pipe(near)
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: server.address().port,
    cut() {
      server.close()
      for (const socket of sockets) socket.resetAndDestroy()
    }
  }
}

pairs(
  'a libp2p whose connections cannot be changed negotiates the streams itself',
  async (...kinds) => {
    const frozen = ({ events }) => {
      events.addEventListener('connection:open', ({ detail }) => {
        Object.defineProperty(detail, 'newStream', { value: detail.newStream, writable: false })
      })
      return {}
    }
    const options = () => ({ services: { frozen, identify: identify(), ping: ping() } })
    const { dialer, listener, connection, remote } = await connected(...kinds, options(), options())
    await listener.handle('/frozen', echo, UNLIMITED)
    for (const each of [connection, remote]) {
      expect(Object.getOwnPropertyDescriptor(each, 'newStream').writable).to.equal(false)
    }
    expect(await dialer.services.ping.ping(listener.peerId)).to.be.at.least(0)
    expect(await listener.services.ping.ping(dialer.peerId)).to.be.at.least(0)
    await Promise.all(
      Array.from({ length: 100 }, async (_, count) => {
        const stream = await connection.newStream(['/unknown', '/frozen'], UNLIMITED)
        const bytes = randomBytes(count * 100)
        void sendAll(stream, bytes)
        expect(Buffer.compare(await readAll(stream), bytes)).to.equal(0)
      })
    )
    const error = await connection.newStream('/unknown').catch((err) => err)
    expect(error.name).to.equal('UnsupportedProtocolError')
  }
)

describe('what was sent before a reset', () => {
  for (const [dialerKind, listenerKind] of [...PAIRINGS, ['js', 'js']]) {
    it(`is delivered when ${dialerKind} dials ${listenerKind}`, async () => {
      const { listener, connection } = await connected(dialerKind, listenerKind)
      let handled = ''
      await listener.handle('/answers', async (stream) => {
        const messages = lpStream(stream)
        handled += (await messages.read()).subarray()
        await messages.write(Buffer.from('answer'))
        throw new Error('later')
      })
      for (let count = 0; count < 20; count += 1) {
        const messages = lpStream(await connection.newStream('/answers'))
        await messages.write(Buffer.from('?'))
        expect(`${(await messages.read()).subarray()}`).to.equal('answer')
      }
      expect(handled).to.equal('?'.repeat(20))
    })

    it(`is delivered, and the reset behind it, when ${dialerKind} dials ${listenerKind} and aborts`, async () => {
      const { listener, connection } = await connected(dialerKind, listenerKind)
      const received = []
      const ended = new Promise((resolve) => {
        listener.handle('/aborted', (stream) => {
          stream.addEventListener('message', ({ data }) => received.push(data.byteLength))
          stream.addEventListener('close', resolve)
        })
      })
      const stream = await connection.newStream('/aborted')
      stream.send(new Uint8Array(1_000))
      stream.send(new Uint8Array(100_000))
      stream.abort(new Error('enough'))
      expect((await ended).error.name).to.equal('StreamResetError')
      expect(received.reduce((sum, bytes) => sum + bytes, 0)).to.equal(101_000)
    })
  }
})

describe('misuse of a stream', () => {
  it('what is not bytes is refused', async () => {
    const { listener, connection } = await connected('ours', 'ours')
    await listener.handle('/echo', echo)
    const stream = await connection.newStream('/echo')
    for (const value of ['hello', [65, 66], new Uint16Array(1), new ArrayBuffer(1), null]) {
      expect(() => stream.send(value)).to.throw(/Uint8Array/)
    }
    stream.send(Uint8Array.of(7))
    await stream.close()
    expect([...(await readAll(stream))]).to.deep.equal([7])
  })

  it('an async listener that throws is an unhandled rejection', async () => {
    const { listener, connection } = await connected('ours', 'ours')
    await listener.handle('/echo', echo)
    const stream = await connection.newStream('/echo')
    const handlers = process.listeners('unhandledRejection')
    process.removeAllListeners('unhandledRejection')
    try {
      const rejected = new Promise((resolve) => process.once('unhandledRejection', resolve))
      stream.addEventListener('message', async () => {
        throw new Error('of a listener')
      })
      stream.send(Uint8Array.of(7))
      expect((await rejected).message).to.equal('of a listener')
    } finally {
      for (const handler of handlers) process.on('unhandledRejection', handler)
    }
  })

  it('a signal ends a wait with its reason', async () => {
    const { listener, connection } = await connected('ours', 'ours')
    await listener.handle('/stuck', (stream) => stream.pause())
    const stream = await connection.newStream('/stuck')
    stream.send(new Uint8Array(MUCH))
    const error = await stream.close({ signal: AbortSignal.timeout(50) }).catch((err) => err)
    expect(error.name).to.equal('TimeoutError')
    const reason = new Error('of the caller')
    const closed = connection.close({ signal: AbortSignal.abort(reason) }).catch((err) => err)
    expect(await closed).to.equal(reason)
  })
})
