import { inspect } from 'node:util'
import { isPeerId } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { isMultiaddr, multiaddr } from '@multiformats/multiaddr'
import test from 'ava'
import { InvalidParametersError } from '../../ts/errors.ts'
import { hostPort, isPrivate, multiaddrOf } from '../../ts/identity/address.ts'
import { peerIdOf, peerText } from '../../ts/identity/peer-id.ts'

const ED25519 = '12D3KooWKnDdG3iXw9eTFijk3EWSunZcFi54Zka4wmtqtt6rPxc8'
const RSA = 'QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N'

test('our peer ids and those of @libp2p/peer-id are interchangeable', (t) => {
  for (const text of [ED25519, RSA]) {
    const ours = peerIdOf(text)
    const theirs = peerIdFromString(text)
    t.true(isPeerId(ours))
    t.true(ours.equals(theirs))
    t.true(theirs.equals(ours))
    t.true(ours.equals(text))
    t.true(ours.equals(theirs.toMultihash().bytes))
    t.is(ours.toString(), text)
    t.is(ours.type, theirs.type)
    t.is(ours.toCID().toString(), theirs.toCID().toString())
    t.is(JSON.stringify(ours), JSON.stringify(theirs))
    t.is(
      `${(ours as object as { [Symbol.toStringTag]: string })[Symbol.toStringTag]}`,
      `PeerId(${text})`
    )
  }
  t.false(peerIdOf(ED25519).equals(peerIdOf(RSA)))
  t.false(peerIdOf(ED25519).equals(undefined))
  t.deepEqual(peerIdOf(ED25519).publicKey?.raw, peerIdFromString(ED25519).publicKey?.raw)
})

test('accepts a peer as a string, as a CID, and as an object', (t) => {
  t.is(peerText(ED25519), ED25519)
  t.is(peerText(peerIdFromString(RSA)), RSA)
  t.is(peerText(peerIdFromString(ED25519).toCID().toString()), ED25519)
})

test('refuses an invalid peer id', (t) => {
  for (const bad of ['', 'nobody', `${ED25519}x`, '12D3KooW', 7, null, {}]) {
    t.throws(() => peerText(bad as never), { instanceOf: InvalidParametersError }, `${bad}`)
  }
})

test('our addresses and those of @multiformats/multiaddr are interchangeable', (t) => {
  const peer = `/p2p/${ED25519}`
  for (const text of ['/ip4/127.0.0.1/tcp/4001', '/ip6/fe80::1/udp/9/quic-v1']) {
    const ours = multiaddrOf(text)
    const theirs = multiaddr(text)
    t.true(isMultiaddr(ours))
    t.true(ours.equals(theirs))
    t.true(theirs.equals(ours))
    t.false(ours.equals(theirs.encapsulate(peer)))
    t.is(multiaddr(ours).toString(), text)
    t.deepEqual(ours.bytes, theirs.bytes)
    t.deepEqual(ours.getComponents(), theirs.getComponents())
    t.is(ours.encapsulate(peer).toString(), `${text}${peer}`)
    t.is(theirs.encapsulate(ours).toString(), `${text}${text}`)
    t.is(ours.encapsulate(peer).decapsulate(ours).toString(), '/')
    t.is(ours.decapsulateCode(4).toString(), theirs.decapsulateCode(4).toString())
    t.is(`${ours}`, `${theirs}`)
    t.is(JSON.stringify(ours), JSON.stringify(theirs))
    t.is(inspect(ours), inspect(theirs))
  }
})

test('extracts host and port', (t) => {
  t.deepEqual(hostPort('/ip6/fe80::1/udp/9/quic-v1'), { host: 'fe80::1', port: 9 })
  t.deepEqual(hostPort('/dns4/example.org/tcp/443/wss'), { host: 'example.org', port: 443 })
  t.deepEqual(hostPort('/ip6zone/eth0/ip6/fe80::1/tcp/9'), { host: 'fe80::1%eth0', port: 9 })
  t.is(hostPort('/unix/tmp.sock'), undefined)
})

test('distinguishes the local network from other addresses', (t) => {
  const local = ['10.1.2.3', '127.0.0.1', '192.168.1.1', '172.16.0.1', '172.31.0.1', '169.254.1.1']
  for (const host of local) t.true(isPrivate(`/ip4/${host}/tcp/1`), host)
  for (const host of ['::1', 'fd00::1', 'fe80::1']) t.true(isPrivate(`/ip6/${host}/tcp/1`), host)
  t.true(isPrivate('/ip6zone/eth0/ip6/fe80::1/tcp/1'))
  for (const host of ['8.8.8.8', '172.32.0.1', '192.169.0.1']) {
    t.false(isPrivate(`/ip4/${host}/tcp/1`), host)
  }
  t.false(isPrivate('/dns4/localhost/tcp/1'))
})
