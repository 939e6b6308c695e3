import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'chai'
import { CID } from 'multiformats/cid'
import { Library, repeated } from './library.js'
import { createNode } from './node.js'

const NODES = 5

describe('a library without a server', () => {
  let nodes
  let libraries

  beforeEach(async () => {
    nodes = await Promise.all(Array.from({ length: NODES }, createNode))
    libraries = nodes.map((node) => new Library(node))
    // A chain: the first and the last one do not know each other.
    for (let at = 1; at < NODES; at += 1) await nodes[at].dial(nodes[at - 1].getMultiaddrs())
    for (const [at, { services }] of nodes.entries()) {
      const neighbours = at === 0 || at === NODES - 1 ? 1 : 2
      while (services.dht.routingTable.size < neighbours) await sleep(20)
    }
    for (const { services } of nodes) await services.dht.refreshRoutingTable()
  })

  afterEach(() => Promise.all(nodes.map((node) => node.stop())))

  it('finds a text that somebody unknown has published', async () => {
    const cid = await libraries[0].publish('call me Ishmael')
    expect(await libraries[NODES - 1].read(cid)).to.equal('call me Ishmael')
    expect(await libraries[0].read(cid)).to.equal('call me Ishmael')
  })

  it('finds the address of a peer, and dials it', async () => {
    const [{ peerId }] = nodes
    const last = nodes[NODES - 1]
    const found = await repeated(() =>
      last.peerRouting.findPeer(peerId, { signal: AbortSignal.timeout(30_000) })
    )
    expect(found.multiaddrs.map(String)).to.not.be.empty
    const connection = await last.dial(found.multiaddrs)
    expect(connection.remotePeer.equals(peerId)).to.equal(true)
  })

  it('says that nobody has a text', async () => {
    const cid = CID.parse('bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy')
    const error = await libraries[2].read(cid).catch((err) => err)
    expect(error.message).to.contain('nobody has')
  })

  it('finds a text although one of those that had it has left', async () => {
    const cid = await libraries[0].publish('it was a pleasure to burn')
    await libraries[1].publish('it was a pleasure to burn')
    await nodes[0].stop()
    expect(await libraries[NODES - 1].read(cid)).to.equal('it was a pleasure to burn')
  })
})
