/** Helia over js-libp2p with our components and stock ones: blocks that one node has, the other gets by bitswap. */
import { randomBytes } from 'node:crypto'
import { withBitswap } from '@helia/bitswap'
import { withLibp2pLight } from '@helia/libp2p'
import { identify } from '@libp2p/identify'
import { expect } from 'chai'
import { createHeliaLight } from 'helia'
import { CID } from 'multiformats/cid'
import { sha256 } from 'multiformats/hashes/sha2'
import { configuration, PAIRINGS } from './nodes.js'

const RAW = 0x55

let started = []

afterEach(async () => {
  const nodes = started
  started = []
  await Promise.all(nodes.map((node) => node.stop()))
})

async function startHelia(kind) {
  const libp2p = configuration(kind, { services: { identify: identify() } })
  const node = await withBitswap(withLibp2pLight(createHeliaLight(), libp2p)).start()
  started.push(node)
  return node
}

for (const [title, blocks, size] of [
  ['40 blocks of 1 KiB', 40, 1_024],
  ['32 MiB in blocks of 1 MiB', 32, 1 << 20]
]) {
  describe(`helia: bitswap of ${title}`, () => {
    for (const [getterKind, providerKind] of PAIRINGS) {
      it(`${getterKind} gets them from ${providerKind}`, async () => {
        const [getter, provider] = await Promise.all([
          startHelia(getterKind),
          startHelia(providerKind)
        ])
        const added = await Promise.all(
          Array.from({ length: blocks }, async () => {
            const bytes = randomBytes(size)
            const cid = CID.createV1(RAW, await sha256.digest(bytes))
            await provider.blockstore.put(cid, bytes)
            return { cid, bytes }
          })
        )
        await getter.libp2p.dial(provider.libp2p.getMultiaddrs())
        const signal = AbortSignal.timeout(40_000)
        await Promise.all(
          added.map(async ({ cid, bytes }) => {
            const got = await collect(getter.blockstore.get(cid, { signal }))
            expect(Buffer.compare(got, bytes)).to.equal(0)
          })
        )
      })
    }
  })
}

async function collect(chunks) {
  const all = []
  for await (const chunk of await chunks) all.push(chunk)
  return Buffer.concat(all)
}
