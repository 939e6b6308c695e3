import test from 'ava'
import {
  ADDRESS_TTL_PERMANENT,
  createSwarm,
  InvalidParametersError,
  identify,
  Peerstore
} from '../../ts/index.ts'
import { openPeerRecord } from '../../ts/peerstore/signed-record.ts'
import { createNode, until } from '../support/pair.ts'

const LOCAL = '/ip4/127.0.0.1/tcp/0'
const IDENTIFY = { services: { identify: true } }

// go 171
test('a peer is known after the connection by addresses, key, protocols and versions', async (t) => {
  const [dialer, listener] = await Promise.all([createNode(t, IDENTIFY), createNode(t, IDENTIFY)])
  await listener.listen(LOCAL)
  const [address] = listener.getListenAddrs()
  const connection = await dialer.dialAddr(`${address}`)
  const { agentVersion } = await identify(connection)
  const { peerstore } = dialer
  const peer = listener.peerId
  t.deepEqual(peerstore.addrs(peer).map(String), [`${address}`])
  t.true(peerstore.pubKey(peer)?.equals(listener.privateKey.publicKey))
  t.deepEqual(peerstore.getProtocols(peer), listener.getProtocols())
  t.is(String(Buffer.from(peerstore.get(peer, 'AgentVersion') ?? [])), agentVersion ?? '')
  t.true(peerstore.getPeerRecord(peer) !== undefined)
  // The listener learns of the dialer what that reports, not the port that it has dialled from.
  await until(() => listener.peerstore.getProtocols(dialer.peerId).length > 0)
  t.deepEqual(listener.peerstore.addrs(dialer.peerId), [])
})

// go 171
test('a push replaces the addresses and protocols that a peer has reported', async (t) => {
  const [dialer, listener] = await Promise.all([createNode(t, IDENTIFY), createNode(t, IDENTIFY)])
  await listener.listen(LOCAL)
  await dialer.listen(LOCAL)
  const [first] = dialer.getListenAddrs()
  await identify(await dialer.dialAddr(`${listener.getListenAddrs()[0]}`))
  const { peerstore } = listener
  const known = (): string[] => peerstore.addrs(dialer.peerId).map(String)
  await until(() => known().includes(`${first}`))
  await dialer.listen('/ip4/0.0.0.0/tcp/0')
  await dialer.unlisten(`${first}`)
  dialer.handle('/pushed', () => {})
  await until(() => !known().includes(`${first}`) && known().length > 0)
  await until(() => peerstore.getProtocols(dialer.peerId).includes('/pushed'))
  const reported = dialer.getInterfaceListenAddrs().map(String)
  t.deepEqual(known().sort(), reported.sort())
  // The record of these addresses has replaced that of the first one.
  const { addresses } = openPeerRecord(peerstore.getPeerRecord(dialer.peerId) ?? Uint8Array.of())
  t.deepEqual([...addresses].sort(), reported.sort())
})

test('a peerstore of the application replaces the own one', async (t) => {
  // Another class: the swarm may use nothing but the public calls.
  const store = new Peerstore()
  const calls: string[] = []
  const peerstore = new Proxy(Object.create(null), {
    get: (_, name: keyof Peerstore) => {
      const call: unknown = store[name]
      if (typeof call !== 'function') return undefined
      return (...args: unknown[]) => {
        calls.push(String(name))
        return call.apply(store, args)
      }
    }
  })
  const [dialer, listener] = await Promise.all([
    createNode(t, { ...IDENTIFY, peerstore }),
    createNode(t, IDENTIFY)
  ])
  await listener.listen(LOCAL)
  await store.addAddrs(listener.peerId, listener.getListenAddrs(), ADDRESS_TTL_PERMANENT)
  const connection = await dialer.dialPeer(listener.peerId)
  await identify(connection)
  t.is(dialer.peerstore, peerstore)
  t.deepEqual(store.getProtocols(listener.peerId), listener.getProtocols())
  await connection.close()
  for (const call of ['addrs', 'addAddrs', 'updateAddrs', 'addPubKey', 'setProtocols', 'put']) {
    t.true(calls.includes(call), call)
  }
})

test('what a replaced peerstore throws or rejects with is reported, and dials go on', async (t) => {
  const fails = (): Promise<never> => Promise.reject(new Error('the disk is full'))
  const throws = (): never => {
    throw new Error('the store is closed')
  }
  const errors: unknown[] = []
  const writes = { addAddrs: fails, updateAddrs: fails, setProtocols: throws, put: fails }
  const reads = { addrs: throws, get: throws, peers: throws, peersWithAddrs: throws }
  const peerstore = {
    ...writes,
    ...reads,
    addPubKey: fails,
    consumePeerRecord: fails,
    delete: fails
  }
  const [dialer, listener] = await Promise.all([
    createNode(t, {
      ...IDENTIFY,
      peerstore: peerstore as unknown as Peerstore,
      logger: { error: (_, err) => void errors.push(err) }
    }),
    createNode(t, IDENTIFY)
  ])
  await listener.listen(LOCAL)
  const connection = await dialer.dialPeer(listener.peerId, {
    addresses: listener.getListenAddrs()
  })
  await identify(connection)
  await connection.close()
  await until(() => errors.length > 4)
  t.true(errors.every((err) => err instanceof Error && /disk|closed/.test(err.message)))
})

test('an option of the peerstore that is invalid or unknown is refused', async (t) => {
  const refused = { instanceOf: InvalidParametersError }
  await t.throwsAsync(createSwarm({ peerstore: { maxPeer: 5 } as never }), {
    ...refused,
    message: 'unknown option "peerstore.maxPeer"; did you mean peerstore.maxPeers?'
  })
  await t.throwsAsync(createSwarm({ peerstore: { maxPeers: 0 } }), refused)
  await t.throwsAsync(createSwarm({ peerstore: { addrs: () => [] } as never }), {
    ...refused,
    message: /addAddrs\(\)/
  })
  const { peerstore } = await createNode(t, { peerstore: { maxPeers: 1 } })
  t.true(peerstore instanceof Peerstore)
})

test('the calls of a class that extends the peerstore are made', async (t) => {
  const added: string[] = []
  class Recorded extends Peerstore {
    override addAddrs(...args: Parameters<Peerstore['addAddrs']>): Promise<void> {
      added.push(`${args[0]}`)
      return super.addAddrs(...args)
    }
  }
  const [dialer, listener] = await Promise.all([
    createNode(t, { peerstore: new Recorded() }),
    createNode(t)
  ])
  await listener.listen(LOCAL)
  await dialer.dialPeer(listener.peerId, { addresses: listener.getListenAddrs() })
  t.true(added.includes(`${listener.peerId}`))
})

test('one peerstore serves one swarm at a time', async (t) => {
  const peerstore = new Peerstore()
  const first = await createNode(t, { peerstore })
  const refused = { instanceOf: InvalidParametersError, message: /in use by another swarm/ }
  await t.throwsAsync(createSwarm({ peerstore }), refused)
  await t.throwsAsync(createSwarm({ peerstore }), refused, 'the refusal leaves it to the first')
  await first.close()
  await createNode(t, { peerstore })
})
