/** The options `transports`, `quic`, `webSocket` and `psk`. */
import { generateKeyPairSync } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import test, { type ExecutionContext } from 'ava'
import { InvalidParametersError } from '../../ts/errors.ts'
import type { NamedMultiplexer } from '../../ts/muxer/muxed.ts'
import { native } from '../../ts/native/addon.ts'
import { nativeTransports } from '../../ts/swarm/native-transports.ts'
import { resolveOptions, type SwarmOptions } from '../../ts/swarm/options.ts'
import {
  checkForcedPrivacy,
  checkTransports,
  resolveTransports,
  type TransportChoice
} from '../../ts/transport/choice.ts'
import { checkPsk, SwarmKey } from '../../ts/transport/pre-shared-key.ts'
import { checkQuic, type QuicOptions, resolveQuic } from '../../ts/transport/quic-options.ts'
import { Transports } from '../../ts/transport/transports.ts'
import {
  checkCertificates,
  checkWebSocket,
  resolveWebSocket
} from '../../ts/transport/websocket-options.ts'
import { CERTIFICATE, KEY, SECP256K1 } from '../support/certificate.ts'

const MIB = 1024 * 1024

function refusal(t: ExecutionContext, call: () => unknown): string {
  return t.throws(call, { instanceOf: InvalidParametersError }).message
}

// S19
test('a swarm has tcp, quic and ws, unless it names its transports', (t) => {
  t.deepEqual(resolveOptions({}).transports, ['tcp', 'quic', 'ws'])
  t.deepEqual(resolveOptions({ transports: ['memory', 'unix'] }).transports, ['memory', 'unix'])
  const own = { canDial: () => true, dial: () => Promise.reject(new Error()) }
  t.deepEqual(resolveOptions({ transports: [own, 'tcp'] }).transports, [own, 'tcp'])
})

test('an unknown transport is refused with the list of those that there are', (t) => {
  for (const [transports, received] of [
    [['websocket'], '"websocket"'],
    [['tcp', 'QUIC'], '"QUIC"'],
    [['toString'], '"toString"'],
    [[undefined], 'undefined']
  ] as const) {
    t.is(
      refusal(t, () => checkTransports(transports, 'transports')),
      `expected transports[${transports.length - 1}] to be one of tcp, quic, ws, unix, memory or a ` +
        `transport, received ${received}`
    )
  }
  t.regex(
    refusal(t, () => checkTransports(['tcp', 'tcp'], 'transports')),
    /each transport once/
  )
  t.regex(
    refusal(t, () => checkTransports([], 'transports')),
    /at least one transport/
  )
})

test('in a private network only tcp, ws and unix are possible', (t) => {
  const needs = { isPrivate: true, hasOwnMuxer: false, hasTls: true }
  t.deepEqual(resolveTransports(undefined, needs), ['tcp', 'ws'])
  t.deepEqual(resolveTransports(['unix', 'ws'], needs), ['unix', 'ws'])
  for (const name of ['quic', 'memory'] satisfies TransportChoice[]) {
    t.is(
      refusal(t, () => resolveTransports(['tcp', name], needs)),
      `expected transports[1] to be one of tcp, ws, unix or a transport with psk, received "${name}"`
    )
  }
})

test('muxers of the application leave tcp and quic', (t) => {
  const needs = { isPrivate: false, hasOwnMuxer: true, hasTls: true }
  t.deepEqual(resolveTransports(undefined, needs), ['tcp', 'quic'])
  t.regex(
    refusal(t, () => resolveTransports(['ws'], needs)),
    /one of tcp, quic or a transport beside muxers of the application, received "ws"/
  )
})

test('without tls among the security protocols there is no quic', (t) => {
  const options = { security: ['noise'] } satisfies SwarmOptions
  t.deepEqual(resolveOptions(options).transports, ['tcp', 'ws'])
  t.is(
    refusal(t, () => resolveOptions({ ...options, transports: ['tcp', 'quic'] })),
    'expected transports[1] to be one of tcp, ws, unix, memory or a transport without tls in the ' +
      'option security, received "quic"'
  )
  t.true(resolveOptions({ security: ['noise', 'tls'] }).transports.includes('quic'))
})

test('muxers of the application are refused in a private network, whose cipher would not apply', (t) => {
  const muxer: NamedMultiplexer = {
    protocol: '/mplex/6.7.0',
    newConnection: () => Promise.reject(new Error())
  }
  for (const transports of [{}, { transports: ['tcp'] }] satisfies SwarmOptions[]) {
    t.regex(
      refusal(t, () => resolveOptions({ psk: DIGITS, muxers: [muxer, 'yamux'], ...transports })),
      /^expected no muxers of the application with psk/
    )
  }
  t.deepEqual(resolveOptions({ psk: DIGITS, muxers: ['yamux-crate'] }).transports, ['tcp', 'ws'])
})

test('the options of QUIC have the timeouts of go-libp2p, a handshake of 10 s, and wider windows', (t) => {
  t.deepEqual(resolveQuic(), {
    idleTimeout: 30_000,
    keepAliveInterval: 15_000,
    streamWindow: 6 * MIB,
    connectionWindow: 24 * MIB,
    maxStreams: 256,
    handshakeTimeout: 10_000
  })
})

test('an option of QUIC moves the defaults that depend on it', (t) => {
  t.is(resolveQuic({ idleTimeout: 4_000 }).keepAliveInterval, 2_000)
  t.is(resolveQuic({ idleTimeout: 90_000 }).keepAliveInterval, 15_000)
  t.is(resolveQuic({ connectionWindow: MIB }).streamWindow, MIB)
  t.is(resolveQuic({ streamWindow: 64 * MIB }).connectionWindow, 256 * MIB)
})

test('an invalid option of QUIC is refused by name', (t) => {
  const refused = (options: unknown): string => refusal(t, () => checkQuic(options, 'quic'))
  for (const [option, values] of Object.entries({
    idleTimeout: [0, -1, Number.NaN, Number.POSITIVE_INFINITY, '30s'],
    keepAliveInterval: [0, Number.POSITIVE_INFINITY],
    streamWindow: [0, 64 * 1024 - 1, 1024 * MIB + 1, 1e5 + 0.5],
    connectionWindow: [1, 2 ** 40],
    maxStreams: [0, 65_536, 1.5],
    handshakeTimeout: [0, null]
  })) {
    for (const value of values)
      t.regex(refused({ [option]: value }), RegExp(`^expected quic.${option} `))
  }
  t.is(
    refused({ idleTimout: 1 }),
    'unknown option "quic.idleTimout"; did you mean quic.idleTimeout?'
  )
  t.is(refused(30_000), 'expected quic to be an object, received 30000')
  t.is(
    refused({ idleTimeout: 10_000, keepAliveInterval: 10_000 }),
    'expected quic.keepAliveInterval to be less than quic.idleTimeout, 10000, received 10000'
  )
  t.regex(
    refused({ keepAliveInterval: 40_000 }),
    /less than quic.idleTimeout, 30000, received 40000/
  )
  t.is(
    refused({ streamWindow: 2 * MIB, connectionWindow: MIB }),
    'expected quic.streamWindow to be at most quic.connectionWindow, 1048576, received 2097152'
  )
  t.notThrows(() => checkQuic({ idleTimeout: undefined } as unknown as QuicOptions, 'quic'))
})

const resolved = (options: unknown) => {
  checkWebSocket(options, 'webSocket')
  return resolveWebSocket(options as object)
}

test('WebSocket has no certificate by default, and verifies those of peers', (t) => {
  t.deepEqual(resolved({}), { certificates: [], roots: [], verify: true, onRequest: undefined })
})

test('certificates are PEM, bytes of it, or paths of its files, one or several', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'ferroswarm-'))
  t.teardown(() => rm(folder, { recursive: true }))
  const [certFile, keyFile] = [join(folder, 'cert.pem'), join(folder, 'key.pem')]
  writeFileSync(certFile, CERTIFICATE)
  writeFileSync(keyFile, KEY)
  for (const certificate of [
    { cert: CERTIFICATE, key: KEY },
    { cert: Buffer.from(CERTIFICATE), key: new TextEncoder().encode(KEY) },
    { cert: certFile, key: keyFile }
  ]) {
    for (const given of [certificate, [certificate, certificate]]) {
      for (const { cert, key } of each(resolved({ certificate: given }))) {
        t.deepEqual([cert, key], [CERTIFICATE, KEY])
      }
    }
  }
  t.is(resolved({ certificate: [] }).certificates.length, 0)
  t.deepEqual(resolved({ roots: certFile }).roots, [CERTIFICATE])
  t.deepEqual(resolved({ roots: [CERTIFICATE, Buffer.from(CERTIFICATE)] }).roots, [
    CERTIFICATE,
    CERTIFICATE
  ])
})

const each = ({ certificates }: ReturnType<typeof resolveWebSocket>) =>
  certificates.map((certificate) => ({ cert: certificate.cert(), key: certificate.key() }))

test('a certificate that cannot be used is refused by name, and its key is not shown', (t) => {
  const refused = (options: unknown): string => refusal(t, () => resolved(options))
  const { privateKey: other } = generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' }
  })
  const { privateKey: encrypted } = generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' }
  })
  const bare = KEY.replaceAll(/-----.*-----|\n/g, '')
  const cases: [options: unknown, expected: RegExp][] = [
    [KEY, /^expected webSocket to be an object, received a string of \d+ characters$/],
    [Buffer.from(KEY), /^expected webSocket to be an object, received \d+ bytes$/],
    [null, /^expected webSocket to be an object, received null$/],
    [{ certificate: KEY }, /^expected webSocket\.certificate to be an object, .* characters$/],
    [
      { certificate: [KEY] },
      /^expected webSocket\.certificate\[0\] to be an object, .* characters$/
    ],
    [{ certificate: { cert: CERTIFICATE } }, /^expected webSocket\.certificate\.key to be PEM/],
    [{ certificate: { key: KEY } }, /^expected webSocket\.certificate\.cert to be PEM/],
    [
      { certificate: [{ cert: CERTIFICATE, key: KEY, ca: '' }] },
      /^unknown option "webSocket\.certificate\[0\]\.ca"/
    ],
    [
      { certificate: { cert: CERTIFICATE, key: bare } },
      /certificate\.key .* received neither \(EN/
    ],
    [
      { certificate: { cert: CERTIFICATE, key: other } },
      /key to be the private key of .*another one$/
    ],
    [{ certificate: { cert: CERTIFICATE, key: encrypted } }, /key that is not encrypted in PEM$/],
    [{ certificate: { cert: KEY, key: KEY } }, /certificate\.cert to be a certificate in PEM$/],
    [
      { certificate: { cert: CERTIFICATE, key: KEY.replace('\nM', '\nN') } },
      /certificate to be a certificate and a private key in PEM$/
    ],
    [{ certificate: { cert: CERTIFICATE, key: 5 } }, /received a value of type number$/],
    [{ roots: '/no/such/file' }, /^expected webSocket\.roots .* received neither \(ENOENT\)$/],
    [{ roots: [CERTIFICATE, KEY] }, /^expected webSocket\.roots\[1\] to be certificates in PEM$/],
    [{ roots: [''] }, /^expected webSocket\.roots\[0\] .* received a string of 0 characters$/],
    [{ verify: 1 }, /^expected webSocket\.verify to be true or false/],
    [{ onRequest: 'yes' }, /^expected webSocket\.onRequest to be a function/],
    [{ request: () => {} }, /^unknown option "webSocket\.request"/]
  ]
  for (const [options, expected] of cases) {
    const message = refused(options)
    t.regex(message, expected)
    t.false(message.includes(bare.slice(0, 8)) || message.includes('PRIVATE KEY'), message)
  }
  t.is(
    refusal(t, () => checkCertificates(KEY, 'certificate')),
    `expected certificate to be an object, received a string of ${KEY.length} characters`
  )
})

test('a malformed certificate is refused with the others, by name and index', (t) => {
  const refused = (options: unknown): string => refusal(t, () => resolved(options))
  const malformed = CERTIFICATE.replace('\nM', '\nN')
  const chain = `${CERTIFICATE}${malformed}`
  t.is(
    refused({
      certificate: [
        { cert: CERTIFICATE, key: KEY },
        { cert: chain, key: KEY }
      ]
    }),
    'expected webSocket.certificate[1].cert to be a certificate in PEM, and that with the index 1 is malformed'
  )
  t.is(
    refused({ roots: [CERTIFICATE, malformed] }),
    'expected webSocket.roots[1] to be certificates in PEM, and it is malformed'
  )
  t.is(resolved({ roots: `# ours\r\n${CERTIFICATE.replaceAll('\n', '\r\n')}` }).roots.length, 1)
})

test('a key of a kind that TLS cannot use is refused by name', (t) => {
  t.is(
    refusal(t, () => resolved({ certificate: [SECP256K1] })),
    'expected webSocket.certificate[0].key to be RSA of 2048 to 8192 bits, ECDSA over P-256, P-384 or P-521, or Ed25519'
  )
})

test('inspection shows no private key of a certificate', (t) => {
  const both = `${CERTIFICATE}${KEY}`
  for (const cert of [CERTIFICATE, both]) {
    const { certificates } = resolved({ certificate: { cert, key: both } })
    const shown = inspect(certificates, { depth: 9, showHidden: true, getters: true })
    t.false(shown.includes('PRIVATE'))
    t.is(JSON.stringify(certificates), '[{}]')
    t.is(JSON.stringify(certificates.map((certificate) => ({ ...certificate }))), '[{}]')
  }
})

const DIGITS = '0123456789abcdefABCDEF0123456789'.repeat(2)
const FILE = `/key/swarm/psk/1.0.0/\n/base16/\n${DIGITS}\n`
const text = (key: SwarmKey): string => Buffer.from(key.contents()).toString()

test('a key of a private network is digits, a swarm.key file, or 32 bytes', (t) => {
  for (const psk of [DIGITS, `${DIGITS}\n`, FILE, Buffer.from(FILE), Buffer.from(DIGITS, 'hex')]) {
    t.notThrows(() => checkPsk(psk, 'psk', native.swarmKeyFingerprint))
  }
  t.is(text(new SwarmKey(FILE)), FILE)
  t.is(text(new SwarmKey(Buffer.from(FILE))), FILE)
  t.is(text(new SwarmKey(Buffer.from(DIGITS, 'hex'))), DIGITS.toLowerCase())
})

test('neither an error nor inspection shows a key of a private network', (t) => {
  const wrong: unknown[] = [
    DIGITS.slice(1),
    `${DIGITS}0`,
    `0x${DIGITS}`,
    FILE.slice(1),
    FILE.padEnd(2_000),
    '/home/me/swarm.key',
    Buffer.from(DIGITS),
    Buffer.from(DIGITS, 'hex').subarray(1),
    new Uint8Array(),
    7,
    null,
    { key: DIGITS }
  ]
  for (const psk of wrong) {
    const message = refusal(t, () => checkPsk(psk, 'psk', native.swarmKeyFingerprint))
    t.regex(message, /^expected psk to be 64 hexadecimal digits, .*, received [^"]+$/)
    t.false(message.includes('456789'), message)
    t.false(message.includes('home'), message)
  }
  const key = new SwarmKey(DIGITS)
  const shown = inspect({ key }, { depth: 9, showHidden: true, getters: true })
  t.false(shown.includes('456789'), shown)
  t.false(shown.includes('48, 49'), shown)
  t.is(JSON.stringify(key), '{}')
})

test('the contents of a swarm.key file are checked with the options, by the name of theirs', (t) => {
  for (const [contents, reason] of [
    [FILE.replace('/base16/', '/base58/'), /expected \/base16\/, /],
    [FILE.replace(DIGITS, DIGITS.slice(2)), /31 bytes/],
    [FILE.replace(DIGITS, 'xyz'), /base16/]
  ] as const) {
    for (const psk of [contents, Buffer.from(contents)]) {
      const message = refusal(t, () => resolveOptions({ psk }))
      t.regex(message, /^expected psk to be the contents of a swarm\.key file: /)
      t.regex(message, reason)
      t.false(message.includes('456789') || message.includes('xyz'), message)
    }
  }
})

test('a key of a private network outlives the bytes that it was given as', (t) => {
  const given = Buffer.from(DIGITS, 'hex')
  const key = new SwarmKey(given)
  given.fill(0)
  t.is(text(key), DIGITS.toLowerCase())
})

test.serial('LIBP2P_FORCE_PNET=1 without a key is refused', (t) => {
  t.notThrows(() => checkForcedPrivacy(false))
  process.env.LIBP2P_FORCE_PNET = '1'
  t.teardown(() => {
    delete process.env.LIBP2P_FORCE_PNET
  })
  t.is(
    refusal(t, () => checkForcedPrivacy(false)),
    'LIBP2P_FORCE_PNET=1 asks for a private network, and there is no option psk'
  )
  t.notThrows(() => checkForcedPrivacy(true))
})

test('the native side gets the options as they are resolved, and only those that are set', (t) => {
  const options = resolveOptions({
    quic: { idleTimeout: 4_000 },
    webSocket: { certificate: { cert: CERTIFICATE, key: KEY }, verify: false }
  })
  t.deepEqual(nativeTransports(options), {
    quic: {
      idleTimeoutMs: 4_000,
      keepaliveIntervalMs: 2_000,
      handshakeTimeoutMs: 10_000,
      streamWindowBytes: 6 * MIB,
      connectionWindowBytes: 24 * MIB,
      maxStreams: 256
    },
    webSocket: {
      certificates: [{ cert: CERTIFICATE, key: KEY }],
      roots: [],
      verify: false,
      passesRequests: false
    }
  })
  const { psk, ...others } = nativeTransports(resolveOptions({ psk: DIGITS }))
  t.is(Buffer.from(psk ?? []).toString(), DIGITS)
  t.deepEqual(others, {})
  t.deepEqual(nativeTransports(resolveOptions({})), {})
})

test('an option that has no effect is refused', (t) => {
  for (const [options, expected] of [
    [
      { quic: {}, psk: DIGITS },
      'expected no option quic in a swarm without the transport quic; its transports are tcp, ws'
    ],
    [{ quic: {}, transports: ['tcp'] }, /^expected no option quic /],
    [{ quic: {}, security: ['noise'] }, /^expected no option quic /],
    [{ webSocket: {}, transports: ['tcp', 'quic'] }, /^expected no option webSocket /],
    [
      { webSocket: { roots: CERTIFICATE, verify: false } },
      'expected no webSocket.roots with webSocket.verify: false, which trusts any certificate'
    ]
  ] satisfies [SwarmOptions, string | RegExp][]) {
    const message = refusal(t, () => resolveOptions(options))
    if (typeof expected === 'string') t.is(message, expected)
    else t.regex(message, expected)
  }
  t.notThrows(() => resolveOptions({ quic: {}, webSocket: { roots: [], verify: false } }))
})

test('the options of a swarm show none of its keys', (t) => {
  const options = resolveOptions({
    psk: DIGITS,
    webSocket: { certificate: { cert: CERTIFICATE, key: KEY } }
  })
  const shown = inspect(options, { depth: 9, showHidden: true, getters: true })
  t.false(shown.includes('456789') || shown.includes('PRIVATE KEY'))
  t.throws(() => resolveOptions({ psk: DIGITS.slice(1) }), { instanceOf: InvalidParametersError })
  t.throws(() => resolveOptions({ psk: DIGITS, transports: ['quic'] }), { message: /with psk/ })
})

// S19
test('one transport by name takes its own addresses alone', (t) => {
  const { transports } = resolveOptions({ transports: ['quic'] })
  t.deepEqual(transports, ['quic'])
  const chosen = new Transports(transports, () => t.fail())
  t.is(chosen.dialling('/ip4/192.0.2.1/udp/4001/quic-v1'), 'quic')
  t.is(chosen.dialling('/ip4/192.0.2.1/tcp/4001'), undefined)
  t.is(
    chosen.refusalOf('/ip4/192.0.2.1/tcp/4001')?.reason,
    'tcp is none of the transports of this swarm'
  )
})

// S19
test('a transport that is no list, or by another name of the option, is misuse', (t) => {
  const message = (options: object): string => refusal(t, () => resolveOptions(options))
  t.is(message({ transport: 'tcp' }), 'unknown option "transport"; did you mean transports?')
  t.is(message({ transports: 'tcp' }), 'expected transports to be an array, received "tcp"')
})
