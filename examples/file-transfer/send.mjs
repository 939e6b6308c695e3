// Sends a file to a receiver, shows the progress, and compares hashes at the end.
//
//     node examples/file-transfer/send.mjs <address the receiver printed> <file>

import { createHash } from 'node:crypto'
import { open } from 'node:fs/promises'
import { basename } from 'node:path'
import { createSwarm } from 'ferroswarm'

const PROTOCOL = '/example/file-transfer/1.0.0'
const CHUNK_BYTES = 64 * 1024
const [address, path] = process.argv.slice(2)
if (path === undefined) throw new Error('usage: send.mjs <address> <file>')

await using file = await open(path)
const { size } = await file.stat()
await using swarm = await createSwarm()
const connection = await swarm.dialAddr(address)
const stream = await connection.newStream(PROTOCOL)
const messages = stream.messages()
await messages.writeMsg(Buffer.from(JSON.stringify({ name: basename(path), size })))

const hash = createHash('sha256')
const chunk = Buffer.alloc(CHUNK_BYTES)
const start = performance.now()
for (let sent = 0; sent < size; ) {
  const { bytesRead } = await file.read(chunk, 0, CHUNK_BYTES)
  if (bytesRead === 0) break
  hash.update(chunk.subarray(0, bytesRead))
  // Waits while the receiver is slower than the disk.
  await messages.writeMsg(chunk.subarray(0, bytesRead))
  sent += bytesRead
  if (process.stdout.isTTY) process.stdout.write(`\r${Math.floor((sent / size) * 100)} %`)
}
await stream.closeWrite()

const answer = JSON.parse(Buffer.from(await messages.readMsg()))
await stream.close()
const seconds = (performance.now() - start) / 1_000
if (answer.sha256 !== hash.digest('hex')) throw new Error('the received file differs')
console.log(`\n${answer.received} bytes in ${seconds.toFixed(2)} s, hashes agree`)
