// Two nodes over a Unix socket: each upgrades its end, and has an ordinary connection.
//
//     node examples/unix-socket.mjs

import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createSwarm } from 'ferroswarm'

const PROTOCOL = '/example/upper/1.0.0'
const folder = await mkdtemp(join(tmpdir(), 'ferroswarm-'))
const path = join(folder, 'node.sock')
const addr = `/unix/${encodeURIComponent(path)}`

const service = await createSwarm()
service.handle(PROTOCOL, async (stream) => {
  const text = Buffer.from(await stream.read()).toString()
  await stream.write(Buffer.from(text.toUpperCase()))
  await stream.close()
})
const server = createServer((socket) => {
  service.upgradeInbound(socket).catch((err) => console.error(`no connection: ${err.message}`))
})
server.listen(path)
await once(server, 'listening')

const client = await createSwarm()
const connection = await client.upgradeOutbound(connect(path), service.peerId, { addr })
console.log(`connected over ${connection.state.transport} and ${connection.state.security}`)

const stream = await connection.newStream(PROTOCOL)
await stream.write(Buffer.from('hello'))
await stream.closeWrite()
console.log(`answer: ${Buffer.from(await stream.read())}`)

await client.close()
await service.close()
server.close()
await rm(folder, { recursive: true })
