/** Attempts by transports of the application: their times, and the limit that they share with native ones. */
import { Duplex } from 'node:stream'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import test from 'ava'
import { AddressManager } from '../../ts/dial/address-manager.ts'
import { noDelayDialRanker } from '../../ts/dial/ranker.ts'
import { AbortError, DialAllFailedError } from '../../ts/errors.ts'
import type { Transport } from '../../ts/transport/transport.ts'
import { at, refused, SELF, setUp } from '../support/dial-host.ts'
import { turns } from '../support/pair.ts'

const idle = (): Duplex => new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() })

/** A transport of addresses that begin with /ip4/192.0.2, whose dials end as a test decides. */
function scripted() {
  const dials: { address: string; resolve: (duplex: Duplex) => void; reject: () => void }[] = []
  const transport: Transport = {
    canDial: (addr) => `${addr}`.startsWith('/ip4/192.0.2.'),
    dial: (addr) =>
      new Promise((resolve, reject) => {
        const fail = (): void => reject(new Error('no such host'))
        dials.push({ address: `${addr}`, resolve, reject: fail })
      })
  }
  return { transport, dials }
}

const far = (host: number): string => `/ip4/192.0.2.${host}/tcp/1`
const noDelay = new AddressManager({ ranker: noDelayDialRanker })
const halfSeconds = new AddressManager({
  ranker: (addresses) => addresses.map((address, index) => ({ address, delay: 500 * index }))
})

// go 21
test('none starts while another one that has just connected is upgraded', async (t) => {
  const { transport, dials } = scripted()
  const { dialer, peer, clock } = setUp({}, undefined, {
    transports: [transport],
    upgradeDialled: (_duplex, _peer, { signal }) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason))
      })
  })
  const controller = new AbortController()
  const dial = dialer.dialPeer(peer, {
    addresses: [far(1), far(2), far(3)],
    signal: controller.signal
  })
  await turns()
  clock.advance(200)
  dials[0]?.resolve(idle())
  await turns()
  clock.advance(249)
  t.is(dials.length, 1)
  clock.advance(1)
  t.is(dials.length, 3)
  controller.abort()
  await t.throwsAsync(dial, { instanceOf: AbortError })
  await turns()
  t.is(clock.timers, 0)
})

test('native attempts and those of the application share the limit of a peer', async (t) => {
  const { transport, dials: custom } = scripted()
  const {
    dialer,
    peer,
    dials: native,
    complete
  } = setUp({}, undefined, {
    transports: [transport, 'tcp'],
    addressManager: noDelay
  })
  const controller = new AbortController()
  const addresses = Array.from({ length: 10 }, (_, index) => [far(index + 1), at(index + 1)]).flat()
  const dial = dialer.dialPeer(peer, { addresses, signal: controller.signal })
  await turns()
  t.deepEqual([native.length, native[0]?.parallel, custom.length], [1, 4, 4])
  custom[0]?.reject()
  await turns()
  t.is(custom.length, 5, 'one that has failed makes room for the next')
  complete(Array.from({ length: 10 }, (_, index) => refused(index)))
  await turns()
  t.is(custom.length, 9, 'the last native one has made room for 4')
  controller.abort()
  await t.throwsAsync(dial, { instanceOf: AbortError })
})

test('attempts of the application are not held up by a native one that is silent', async (t) => {
  const { transport, dials: custom } = scripted()
  const named = Promise.withResolvers<Multiaddr[]>()
  const {
    dialer,
    peer,
    clock,
    dials: native
  } = setUp({}, undefined, {
    transports: [transport, 'tcp'],
    dns: { resolve: () => named.promise }
  })
  const controller = new AbortController()
  const dial = dialer.dialPeer(peer, {
    addresses: [at(1), '/dns4/a.test/tcp/1'],
    signal: controller.signal
  })
  t.is(native.length, 1)
  named.resolve([far(1), far(2), far(3), far(4), far(5)].map((address) => multiaddr(address)))
  await turns()
  clock.advance(1_000)
  await turns()
  t.deepEqual([native[0]?.parallel, custom.length], [4, 5], 'one native attempt leaves 7 of 8')
  controller.abort()
  await t.throwsAsync(dial, { instanceOf: AbortError })
})

test('many silent native attempts leave half of the places to those of the application', async (t) => {
  const { transport, dials: custom } = scripted()
  const named = Promise.withResolvers<Multiaddr[]>()
  const { dialer, peer, clock } = setUp({}, undefined, {
    transports: [transport, 'tcp'],
    addressManager: noDelay,
    dns: { resolve: () => named.promise }
  })
  const controller = new AbortController()
  const silent = Array.from({ length: 10 }, (_, index) => at(index + 1))
  const dial = dialer.dialPeer(peer, {
    addresses: [...silent, '/dns4/a.test/tcp/1'],
    signal: controller.signal
  })
  named.resolve([1, 2, 3, 4, 5, 6].map((host) => multiaddr(far(host))))
  await turns()
  clock.advance(1_000)
  t.is(custom.length, 4)
  controller.abort()
  await t.throwsAsync(dial, { instanceOf: AbortError })
})

test('an attempt of the application that fails brings the next one forward, beside native ones', async (t) => {
  const { transport, dials: custom } = scripted()
  const { dialer, peer, clock } = setUp({}, undefined, {
    transports: [transport, 'tcp'],
    addressManager: halfSeconds
  })
  const controller = new AbortController()
  const dial = dialer.dialPeer(peer, {
    addresses: [at(1), far(1), far(2)],
    signal: controller.signal
  })
  await turns()
  clock.advance(500)
  t.is(custom.length, 1)
  custom[0]?.reject()
  await turns()
  t.is(custom.length, 2)
  controller.abort()
  await t.throwsAsync(dial, { instanceOf: AbortError })
})

test('the delay of the first attempt of the application holds beside native ones, until they have failed', async (t) => {
  const { transport, dials: custom } = scripted()
  const { dialer, peer, clock, complete } = setUp({}, undefined, {
    transports: [transport, 'tcp'],
    addressManager: halfSeconds
  })
  const addresses = [at(1), far(1)]
  const first = dialer.dialPeer(peer, { addresses })
  await turns()
  clock.advance(499)
  t.is(custom.length, 0)
  clock.advance(1)
  t.is(custom.length, 1)
  complete([refused(0)])
  custom[0]?.reject()
  await t.throwsAsync(first, { instanceOf: DialAllFailedError })
  const second = dialer.dialPeer(peer, { addresses, force: true })
  await turns()
  t.is(custom.length, 1)
  complete([refused(0)])
  await turns()
  t.is(custom.length, 2, 'nothing else is in flight')
  custom[1]?.reject()
  await t.throwsAsync(second, { instanceOf: DialAllFailedError })
})

// go 35, go 36
test('a WebSocket address is not dialled beside the same port over TCP, and is beside another port', async (t) => {
  const dialled: string[] = []
  const webSocket: Transport = {
    canDial: (addr) => /\/wss?$/.test(`${addr}`),
    dial: (addr) => {
      dialled.push(`${addr}`)
      return Promise.reject(new Error('no such host'))
    }
  }
  const { dialer, peer, dials, complete } = setUp({}, undefined, {
    transports: [webSocket, 'tcp']
  })
  const twins = [`${at(1)}/ws`, `${at(1)}/tls/ws`, `${at(1)}/tls/sni/example.com/ws`]
  const dial = dialer.dialPeer(peer, { addresses: [...twins, at(1), `${at(2)}/ws`] })
  await turns()
  t.deepEqual(
    dials.map(({ addresses }) => addresses),
    [[at(1)]]
  )
  complete([refused(0)])
  const err = await t.throwsAsync(dial, { instanceOf: DialAllFailedError })
  t.deepEqual(dialled, [`${at(2)}/ws`])
  const filtered = err.attempts.filter(({ stage }) => stage === 'filter')
  t.deepEqual(
    filtered.map(({ address }) => address),
    twins
  )
  t.regex(filtered[0]?.cause.message ?? '', /the same port is dialled over TCP/)

  // Where TCP is not used, nothing is preferred to it.
  const other = setUp({}, undefined, { transports: [webSocket] })
  dialled.length = 0
  await t.throwsAsync(other.dialer.dialPeer(peer, { addresses: [at(1), `${at(1)}/ws`] }))
  t.deepEqual(dialled, [`${at(1)}/ws`])
})

test('a WebSocket address is dialled if the same port over TCP is not, or is that of a relay', async (t) => {
  const dialled: string[] = []
  const webSocket: Transport = {
    canDial: (addr) => `${addr}`.includes('/ws'),
    dial: (addr) => {
      dialled.push(`${addr}`)
      return Promise.reject(new Error('no such host'))
    }
  }
  const twin = `${at(1)}/ws`
  const transports = [webSocket, 'tcp'] as const
  const gater = { addrDial: (_: unknown, addr: unknown) => `${addr}`.includes('/ws') }
  const refusing = setUp({}, undefined, { transports, gater })
  const gated = refusing.dialer.dialPeer(refusing.peer, { addresses: [at(1), twin] })
  await t.throwsAsync(gated, { instanceOf: DialAllFailedError })
  t.deepEqual([refusing.dials.length, dialled.splice(0)], [0, [twin]])
  const relayed = `${twin}/p2p/${SELF}/p2p-circuit`
  const { dialer, peer, complete } = setUp({}, undefined, {
    transports,
    addressManager: noDelay
  })
  const dial = dialer.dialPeer(peer, { addresses: [at(1), relayed] })
  await turns()
  complete([refused(0)])
  await t.throwsAsync(dial, { instanceOf: DialAllFailedError })
  t.deepEqual(dialled, [relayed])
})
