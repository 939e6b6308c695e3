/** Real TCP sockets on loopback. */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type ServerOpts, type Socket } from 'node:net'
import type { ExecutionContext } from 'ava'

/** Creates two ends of a TCP connection, destroyed when the test ends. */
export async function socketPair(
  t: ExecutionContext,
  host = '127.0.0.1'
): Promise<{ near: Socket; far: Socket }> {
  const server = createServer({ allowHalfOpen: true })
  server.listen(0, host)
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const near = connect({ port, host, allowHalfOpen: true })
  const [[far]] = (await Promise.all([once(server, 'connection'), once(near, 'connect')])) as [
    [Socket],
    unknown
  ]
  server.close()
  t.teardown(() => {
    near.destroy()
    far.destroy()
  })
  return { near, far }
}

/** Accepts connections on loopback until the test ends; resolves to the address to dial. */
export async function serveSockets(
  t: ExecutionContext,
  take: (socket: Socket) => void,
  options: ServerOpts = {}
): Promise<string> {
  const sockets = new Set<Socket>()
  const server = createServer(options, (socket) => {
    sockets.add(socket)
    take(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return `/ip4/127.0.0.1/tcp/${(server.address() as AddressInfo).port}`
}

/** Resolves to whether a connection to `addr` is accepted. */
export function accepts(addr: string): Promise<boolean> {
  const [, , host, , port] = addr.split('/') as [string, string, string, string, string]
  return new Promise((resolve) => {
    const socket = connect(Number(port), host)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
