/** Writes to a persistent peerstore as fast as it can, and prints every write that is acknowledged: `<peer> <n>`. */
import { writeSync } from 'node:fs'
import { createSwarm, generatePrivateKey } from '../../../ts/index.ts'

const [path = '', first = '0'] = process.argv.slice(2)
const swarm = await createSwarm({
  privateKey: generatePrivateKey(),
  peerstore: { path },
  services: { identify: false, ping: false },
  ioThreads: 1
})
// So that the parent counts its random time from here.
writeSync(1, 'ready\n')
const digits = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz'
const peers = Array.from(
  { length: 50 },
  (_, index) => `QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5${digits[index]}`
)

// Twenty writers, each of which awaits every write.
for (let writer = 0; writer < 20; writer += 1) void write(writer)

async function write(writer: number): Promise<void> {
  for (let n = Number(first); ; n += 1) {
    const peer = peers[(n * 20 + writer) % peers.length] as string
    const value = Buffer.alloc(100 + ((n * 37) % 1_000), n % 251)
    value.writeUInt32LE(n)
    await swarm.peerstore.put(peer, `writer-${writer}`, value)
    // Into the pipe at once: it must not be lost in a buffer of this process.
    writeSync(1, `${peer} ${writer} ${n}\n`)
  }
}
