/** Proxies that add latency. */

import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import type { ExecutionContext } from 'ava'
import { udpProxy } from './udp-proxy.ts'

const HOST = '127.0.0.1'

/**
 * Listens in front of an address over TCP or UDP and forwards everything after `delayMs`, in both directions, in order;
 * resolves to its own address.
 */
export async function delayProxy(
  t: ExecutionContext,
  address: string,
  delayMs: number
): Promise<string> {
  const [, , , protocol, port, ...rest] = address.split('/')
  const proxy = protocol === 'udp' ? datagramProxy : socketProxy
  return ['', 'ip4', HOST, protocol, await proxy(t, Number(port), delayMs), ...rest].join('/')
}

async function socketProxy(t: ExecutionContext, port: number, delayMs: number): Promise<number> {
  const sockets = new Set<Socket>()
  const forward = (from: Socket, to: Socket): void => {
    sockets.add(from)
    from.on('data', (bytes) => setTimeout(() => to.writable && to.write(bytes), delayMs))
    from.on('end', () => setTimeout(() => to.end(), delayMs))
    from.on('error', () => to.destroy())
  }
  const server = createServer({ allowHalfOpen: true }, (near) => {
    const far = connect({ port, host: HOST, allowHalfOpen: true })
    forward(near, far)
    forward(far, near)
  })
  t.teardown(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  server.listen(0, HOST)
  await once(server, 'listening')
  // It listens on a port.
  return (server.address() as AddressInfo).port
}

async function datagramProxy(t: ExecutionContext, port: number, delayMs: number): Promise<number> {
  const proxy = await udpProxy(t, port)
  proxy.treat(() => delayMs)
  return proxy.port
}
