/** Two nodes with an event in each namespace of `DEBUG`; prints nothing itself. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { createSwarm } from '../../../ts/swarm.ts'

const OPTIONS = { ioThreads: 1, services: { ping: false, identify: false } } as const

const [listener, dialer] = await Promise.all([
  createSwarm({ ...OPTIONS, limits: { transient: { connectionsInbound: 1 } } }),
  createSwarm({ ...OPTIONS, dns: { servers: ['127.0.0.1'] } })
])
listener.handle('/failing', () => Promise.reject(new Error('the handler fails')))
listener.handle('/one', () => new Promise(() => {}), { maxInbound: 1 })
await Promise.all([listener, dialer].map((swarm) => swarm.listen('/ip4/127.0.0.1/tcp/0')))
const [address, closed] = [listener, dialer].map((swarm) => `${swarm.getListenAddrs()[0]}`) as [
  string,
  string
]
await dialer.unlisten(closed)

const connection = await dialer.dialAddr(address)
await dialer.dialAddr(closed).catch(() => {})
const failing = await connection.newStream('/failing')
await failing.read().catch(() => {})
await connection.newStream('/one')
const second = await connection.newStream('/one')
await second.read().catch(() => {})

const stranger = client()
stranger.write('GET / HTTP/1.1\r\n\r\n')
await once(stranger, 'close')
const silent = client()
await once(silent, 'connect')
await once(client(), 'close')
silent.destroy()
await dialer.dnsResolver.resolve('/dns4/name.invalid/tcp/1').catch(() => {})
await Promise.all([dialer.close(), listener.close({ drainTimeout: 0 })])

function client(): Socket {
  const socket = connect(Number(address.split('/').at(-1)), '127.0.0.1')
  socket.on('error', () => {})
  return socket.resume()
}
