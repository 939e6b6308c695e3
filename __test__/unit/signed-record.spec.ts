import { privateKeyFromProtobuf } from '@libp2p/crypto/keys'
import { peerIdFromString } from '@libp2p/peer-id'
import { PeerRecord, RecordEnvelope } from '@libp2p/peer-record'
import { multiaddr } from '@multiformats/multiaddr'
import test from 'ava'
import { ProtobufWriter } from '../../ts/base/protobuf.ts'
import { InvalidRecordError } from '../../ts/errors.ts'
import { generatePrivateKey, makeIdentity } from '../../ts/identity/keys.ts'
import { openPeerRecord, recordSeq, signPeerRecord } from '../../ts/peerstore/signed-record.ts'

const AT = ['/ip4/192.0.2.1/tcp/4001', '/dns4/example.org/tcp/443/wss']

// @libp2p/crypto cannot read the ECDSA keys of the other implementations.
for (const type of ['ed25519', 'secp256k1', 'rsa'] as const) {
  test(`js-libp2p accepts our record, and we accept its, with a key of ${type}`, async (t) => {
    const bytes = generatePrivateKey(type)
    const identity = makeIdentity(bytes)
    const envelope = signPeerRecord(identity, AT, 2n ** 60n)
    const theirs = await RecordEnvelope.openAndCertify(envelope, PeerRecord.DOMAIN)
    const record = PeerRecord.createFromProtobuf(theirs.payload)
    t.is(`${record.peerId}`, identity.peer)
    t.is(record.seqNumber, 2n ** 60n)
    t.deepEqual(record.multiaddrs.map(String), AT)
    const sealed = await RecordEnvelope.seal(
      new PeerRecord({
        peerId: peerIdFromString(identity.peer),
        multiaddrs: AT.map((text) => multiaddr(text)),
        seqNumber: 7n
      }),
      privateKeyFromProtobuf(bytes)
    )
    const ours = { peer: identity.peer, seq: 7n, addresses: AT }
    t.like(openPeerRecord(sealed.marshal()), ours)
    t.is(recordSeq(sealed.marshal()), 7n)
  })
}

// Made by go-libp2p 0.51.0, core/peer.PeerRecord.Sign.
const GO =
  '0a2408011220c2bc5290f11840fecdfc22bdf1a78480fd8f0883cb72f523a7bcad9123787dab120203011a4c0a26002408011220c2bc5290f11840fecdfc22bdf1a78480fd8f0883cb72f523a7bcad9123787dab10071a0a0a0804c0000201060fa11a140a12360b6578616d706c652e6f72670601bbde032a404c05a7b8bcedd07105470ffcc6e42d049a8010a6c8c61490cb667110fac5cda171ffb4778efad9c3e94a1cefb3858a2b289b1c185b717408166b1392d3cce20f'

test('a signed record cannot name a socket of the host that receives it', (t) => {
  const identity = makeIdentity(undefined)
  const envelope = signPeerRecord(identity, ['/unix/%2Fa', ...AT, '/memory/1'], 1n)
  t.like(openPeerRecord(envelope), { addresses: AT })
})

test('a record of go-libp2p is accepted', (t) => {
  t.like(openPeerRecord(Buffer.from(GO, 'hex')), { seq: 7n, addresses: AT })
})

test('an envelope of another kind, or over 8 KiB, is refused', (t) => {
  const identity = makeIdentity(undefined)
  const envelope = signPeerRecord(identity, AT, 1n)
  const refused = { instanceOf: InvalidRecordError }
  t.throws(() => openPeerRecord(new Uint8Array(8_193)), { ...refused, message: /8193 bytes/ })
  // The type of the payload: 0x0301.
  const other = Uint8Array.from(envelope)
  const at = Buffer.from(other).indexOf(Buffer.of(0x12, 0x02, 0x03, 0x01))
  other[at + 3] = 0x02
  t.throws(() => openPeerRecord(other), { ...refused, message: /no peer record/ })
  t.throws(() => openPeerRecord(Uint8Array.of()), refused)
})

// A123
test('a record of another peer than the one that has signed it is refused', (t) => {
  const [signer, other] = [makeIdentity(undefined), makeIdentity(undefined)]
  const payload = new ProtobufWriter()
  payload.bytes(1, peerIdFromString(other.peer).toMultihash().bytes)
  payload.varint(2, 7)
  const signed = new ProtobufWriter()
  const type = Uint8Array.of(0x03, 0x01)
  for (const part of [Buffer.from('libp2p-peer-record'), type, payload.end()]) signed.prefixed(part)
  const envelope = new ProtobufWriter()
  envelope.bytes(1, signer.publicKeyBytes)
  envelope.bytes(2, type)
  envelope.bytes(3, payload.end())
  envelope.bytes(5, signer.sign(signed.end()))
  t.throws(() => openPeerRecord(envelope.end()), {
    instanceOf: InvalidRecordError,
    message: 'the record is of another peer than its key'
  })
})
