/** Options of the components of `ferroswarm/libp2p`: known ones work, others are refused by name. */
import test from 'ava'
import { InvalidParametersError } from '../../ts/errors.ts'
import { noise, tcp, tls, yamux } from '../../ts/libp2p/index.ts'

const accepted: Readonly<Record<string, () => unknown>> = {
  'tcp without options': () => tcp(),
  'a limit of connections': () => tcp({ maxConnections: 10 }),
  'a listener that closes': () =>
    tcp({ closeServerOnMaxConnections: { closeAbove: 10, listenBelow: 5, onListenError() {} } }),
  'no inactivity timeout': () =>
    tcp({ inboundSocketInactivityTimeout: 0, outboundSocketInactivityTimeout: 0 }),
  'every option of yamux': () =>
    yamux({
      enableKeepAlive: false,
      keepAliveInterval: 1_000,
      maxInboundStreams: 5,
      maxOutboundStreams: 5,
      maxEarlyStreams: 5,
      streamOptions: {
        inactivityTimeout: 1_000,
        maxReadBufferLength: 1_000,
        maxWriteBufferLength: Number.POSITIVE_INFINITY,
        maxStreamWindowSize: 1 << 20
      }
    }),
  'an option that is undefined': () => noise({ crypto: undefined }),
  'tls without options': () => tls()
}

// biome-ignore lint/suspicious/noExplicitAny: options that the types refuse.
const any = (options: object): any => options

const refused: Readonly<Record<string, readonly [() => unknown, RegExp]>> = {
  'a backlog': [() => tcp(any({ backlog: 5 })), /^tcp\(\) has no option backlog here: the queue/],
  'an inactivity timeout': [
    () => tcp(any({ inboundSocketInactivityTimeout: 5 })),
    /^expected inboundSocketInactivityTimeout to be 0, .*keepAliveInterval/
  ],
  'options of sockets': [() => tcp(any({ dialOpts: {} })), /dialOpts here: sockets are native/],
  'a listener that would close at once': [
    () => tcp({ closeServerOnMaxConnections: { closeAbove: 1, listenBelow: 5 } }),
    /closeAbove to be listenBelow or more/
  ],
  'a typo': [() => tcp(any({ maxConnection: 5 })), /maxConnection/],
  'a typo of yamux': [() => yamux(any({ keepAlive: true })), /keepAlive/],
  'frames of a size': [() => yamux(any({ maxMessageSize: 5 })), /maxMessageSize here: frames/],
  'an initial window': [
    () => yamux(any({ streamOptions: { initialStreamWindowSize: 1 << 20 } })),
    /initialStreamWindowSize here: windows begin with 256 KiB/
  ],
  'a static key': [() => noise(any({ staticNoiseKey: new Uint8Array(32) })), /staticNoiseKey here/],
  'an option of tls': [() => tls(any({ certificate: '' })), /^tls\(\) has no option certificate$/]
}

for (const [title, make] of Object.entries(accepted)) {
  test(`accepted: ${title}`, (t) => {
    t.notThrows(make)
  })
}

for (const [title, [make, message]] of Object.entries(refused)) {
  test(`refused: ${title}`, (t) => {
    t.throws(make, { instanceOf: InvalidParametersError, message })
  })
}
