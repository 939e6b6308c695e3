/**
 * TCP by sockets of Node.js, whose bytes JavaScript carries: it stands in for native sockets if muxers of the
 * application are to carry connections.
 */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server } from 'node:net'
import type { Multiaddr } from '@multiformats/multiaddr'
import { dialRefusal, listenRefusal, parseAddress } from '../identity/parsed-address.ts'
import { type SocketPlace, tcpPlaceOf } from '../identity/transport-forms.ts'
import type { Transport } from './transport.ts'

// The remote's end is that of its bytes: what is still to be written is delivered.
const SOCKET_OPTIONS = { allowHalfOpen: true, noDelay: true } as const

/** TCP over `net.Socket`. Neither sockets nor servers keep the process alive: the swarm does. */
export const nodeTcp: Transport = Object.freeze({
  canDial: (addr: Multiaddr) => {
    const text = addr.toString()
    return tcpPlaceOf(text) !== undefined && dialRefusal(parseAddress(text)) === undefined
  },

  canListen: (addr: Multiaddr) => {
    const text = addr.toString()
    return tcpPlaceOf(text) !== undefined && listenRefusal(parseAddress(text)) === undefined
  },

  async dial(addr, { signal }) {
    const place = placeOf(addr)
    const socket = connect({ ...SOCKET_OPTIONS, host: hostOf(place), port: place.port }).unref()
    try {
      await once(socket, 'connect', { signal })
      return socket
    } catch (err) {
      socket.destroy()
      throw err
    }
  },

  async listen(addr, onDuplex, { signal }) {
    const place = placeOf(addr)
    const server = createServer(SOCKET_OPTIONS, (socket) => onDuplex(socket.unref())).unref()
    server.listen({ host: hostOf(place), port: place.port, ipv6Only: place.family === 6 })
    try {
      await once(server, 'listening', signal === undefined ? {} : { signal })
    } catch (err) {
      server.close()
      throw err
    }
    // Such as a lack of descriptors at an accept: the next one may succeed, so the first is told and no more.
    server.once('error', (err) => process.emitWarning(err)).on('error', () => {})
    return { addresses: [boundAddress(place, server)], close: () => void server.close() }
  }
} satisfies Transport)

// Asked for addresses that it takes.
function placeOf(addr: Multiaddr): SocketPlace {
  const place = tcpPlaceOf(addr.toString())
  if (place === undefined) throw new TypeError(`${addr} is not an address of a TCP socket`)
  return place
}

function hostOf({ host, zone }: SocketPlace): string {
  return zone === undefined ? host : `${host}%${zone}`
}

function boundAddress({ host, family, zone }: SocketPlace, server: Server): string {
  // That of a TCP server.
  const { port } = server.address() as AddressInfo
  return `${zone === undefined ? '' : `/ip6zone/${zone}`}/ip${family}/${host}/tcp/${port}`
}
