// Receives files into a folder and answers each with its SHA-256.
//
//     node examples/file-transfer/receive.mjs [folder]

import { createHash } from 'node:crypto'
import { open } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { createSwarm } from 'ferroswarm'

const PROTOCOL = '/example/file-transfer/1.0.0'
const folder = process.argv[2] ?? '.'

const swarm = await createSwarm()
swarm.handle(PROTOCOL, async (stream, connection) => {
  // The first message has name and size, the others the content.
  const messages = stream.messages()
  const header = JSON.parse(Buffer.from(await messages.readMsg()))
  // The sender chooses the name, so paths are stripped and no file is overwritten.
  const path = join(folder, basename(String(header.name)))
  const file = await open(path, 'wx')
  const hash = createHash('sha256')
  let received = 0
  try {
    for await (const chunk of messages) {
      hash.update(chunk)
      await file.write(chunk)
      received += chunk.length
    }
  } finally {
    await file.close()
  }
  const answer = { received, sha256: hash.digest('hex') }
  await messages.writeMsg(Buffer.from(JSON.stringify(answer)))
  await stream.close()
  console.log(`${path}: ${received} of ${header.size} bytes from ${connection.remotePeer}`)
})

await swarm.listen('/ip4/127.0.0.1/tcp/0')
const [address] = swarm.getListenAddrs()
console.log(`${address}/p2p/${swarm.peerId}`)

for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => swarm.close())
