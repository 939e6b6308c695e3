// A process that takes an attack in place of a node. Its argument: `close` to close each connection, or `session` to
// complete handshakes, then discard what arrives. Sends its port over IPC.

import { createServer } from 'node:net'
import { RawPeer } from '../../__test__/support/raw-peer.ts'

const isClosing = process.argv[2] === 'close'
const server = createServer(async (socket) => {
  if (isClosing) return socket.destroy()
  const peer = new RawPeer(socket)
  await peer.accept().catch(() => {})
  socket.resume()
})
server.listen(0, '127.0.0.1', 4_096, () => process.send({ port: server.address().port }))
process.once('disconnect', () => process.exit())
