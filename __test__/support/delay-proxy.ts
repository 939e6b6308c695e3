/** A TCP proxy that adds latency. */

import { connect, createServer, type Socket } from 'node:net'
import type { ExecutionContext } from 'ava'

/** Listens in front of `port` and forwards every byte after `delayMs`, in both directions; resolves to its own port. */
export function delayProxy(t: ExecutionContext, port: number, delayMs: number): Promise<number> {
  const sockets = new Set<Socket>()
  const forward = (from: Socket, to: Socket): void => {
    sockets.add(from)
    from.on('data', (bytes) => setTimeout(() => to.writable && to.write(bytes), delayMs))
    from.on('end', () => setTimeout(() => to.end(), delayMs))
    from.on('error', () => to.destroy())
  }
  const server = createServer({ allowHalfOpen: true }, (near) => {
    const far = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    forward(near, far)
    forward(far, near)
  })
  t.teardown(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      resolve((server.address() as import('node:net').AddressInfo).port)
    })
  })
}
