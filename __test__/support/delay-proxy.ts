/** Proxies that add latency. */

import { createSocket, type Socket as Datagrams } from 'node:dgram'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import type { ExecutionContext } from 'ava'

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
  const sockets: Datagrams[] = []
  const open = async (): Promise<Datagrams> => {
    const socket = createSocket('udp4')
    sockets.push(socket)
    socket.bind(0, HOST)
    await once(socket, 'listening')
    return socket
  }
  let isOver = false
  const send = (from: Datagrams, bytes: Uint8Array, to: number): void => {
    setTimeout(() => isOver || from.send(bytes, to, HOST), delayMs)
  }
  t.teardown(() => {
    isOver = true
    for (const socket of sockets) socket.close()
  })
  const near = await open()
  // One dialer: the far socket answers to where the last datagram came from.
  const far = await open()
  let dialer = 0
  near.on('message', (bytes, from) => {
    dialer = from.port
    send(far, bytes, port)
  })
  far.on('message', (bytes) => send(near, bytes, dialer))
  return near.address().port
}
