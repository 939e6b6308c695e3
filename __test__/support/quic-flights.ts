/** First flights of QUIC: a ClientHello each, for remotes that send no more than that, from any port, to any listener. */
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import type { ExecutionContext } from 'ava'
import { createNode, until } from './pair.ts'

/** The datagrams of one first flight, in order. */
export type Flight = readonly Buffer[]

/** Datagrams of a ClientHello, whose key share of ML-KEM fills more than one. */
const FLIGHT_DATAGRAMS = 2

/** Binds a UDP socket on loopback; it is closed when the test ends. */
export async function udpSocket(t: ExecutionContext, host = '127.0.0.1'): Promise<Socket> {
  const socket = createSocket('udp4')
  t.teardown(() => socket.close())
  socket.bind(0, host)
  await once(socket, 'listening')
  return socket
}

/** Records the first flights of `count` dials, none of which is answered. */
export async function firstFlights(t: ExecutionContext, count: number): Promise<Flight[]> {
  const silent = await udpSocket(t)
  const byConnection = new Map<string, Buffer[]>()
  silent.on('message', (bytes: Buffer) => {
    // Long header: flags, version, then the length of the connection id and that id.
    const id = bytes.toString('hex', 6, 6 + (bytes[5] ?? 0))
    byConnection.set(id, [...(byConnection.get(id) ?? []), bytes])
  })
  const dialer = await createNode(t, { retry: { maxRetries: 0 } })
  const address = `/ip4/127.0.0.1/udp/${silent.address().port}/quic-v1`
  const flights: Flight[] = []
  for (let dials = 1; dials <= count; dials += 1) {
    const controller = new AbortController()
    const { signal } = controller
    const dial = dialer.dialAddr(address, { signal, force: true }).catch(() => {})
    const latest = (): Buffer[] => [...byConnection.values()][dials - 1] ?? []
    await until(() => latest().length >= FLIGHT_DATAGRAMS)
    controller.abort()
    await dial
    flights.push(latest().slice(0, FLIGHT_DATAGRAMS))
  }
  return flights
}

/** Sends a flight to a port of loopback from a socket of its own; resolves to that. */
export async function sendFlight(
  t: ExecutionContext,
  flight: Flight,
  port: number,
  host = '127.0.0.1'
): Promise<Socket> {
  const socket = await udpSocket(t, host)
  for (const bytes of flight) socket.send(bytes, port, '127.0.0.1')
  return socket
}
