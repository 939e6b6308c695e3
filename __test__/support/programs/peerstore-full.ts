/**
 * Fills a persistent peerstore until a write is refused, and prints what happened as JSON. Runs with a bounded file size,
 * which is to a file what a full disk is.
 */
import { createSwarm, generatePrivateKey, Libp2pError } from '../../../ts/index.ts'

const [path = ''] = process.argv.slice(2)
const swarm = await createSwarm({
  privateKey: generatePrivateKey(),
  peerstore: { path },
  services: { identify: false, ping: false },
  ioThreads: 1
})
const digits = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz'
const stored: string[] = []
let refusal: unknown
for (let index = 0; index < 58 * 58 && refusal === undefined; index += 1) {
  const name = `${digits[Math.floor(index / 58)]}${digits[index % 58]}`
  const peer = `QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx${name}`
  try {
    await swarm.peerstore.put(peer, 'key', new Uint8Array(60_000))
    stored.push(peer)
  } catch (err) {
    refusal = err
    // Memory has it all the same.
    if (swarm.peerstore.get(peer, 'key')?.length !== 60_000) throw new Error('it is lost')
  }
}
// The next write is refused as well, and does no harm.
const again = await swarm.peerstore
  .put(stored[0] ?? '', 'other', Uint8Array.of(1))
  .catch((err) => err)
await swarm.close()
const code = refusal instanceof Libp2pError ? refusal.code : `${refusal}`
console.log(JSON.stringify({ code, stored, again: again?.code ?? 'stored' }))
