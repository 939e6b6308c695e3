// Cost of connection management: of a pruner's decision, and of a connection that comes and goes, by their number.
//
//     npm run build && node bench/pruning.mjs [connections...]
//
// Connections are those of an idle muxer in JavaScript, so that nothing else is measured. CPU time of this thread.

import { createSwarm } from 'ferroswarm'

/** A muxed connection without streams. */
class IdleConn {
  isClosed = false
  #ended = Promise.withResolvers()

  constructor(remotePeer) {
    this.remotePeer = remotePeer
    this.#ended.promise.catch(() => {})
  }

  async close() {
    this.isClosed = true
    this.#ended.reject(Object.assign(new Error('closed'), { name: 'MuxerClosedError' }))
  }

  closeWithError() {
    return this.close()
  }

  openStream() {
    return this.#ended.promise
  }

  acceptStream() {
    return this.#ended.promise
  }
}

const ALPHABET = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz'

/** Returns the text of a peer id: an inlined ed25519 key of arbitrary bytes. */
function peerOf(index) {
  const key = Buffer.alloc(38)
  Buffer.from('002408011220', 'hex').copy(key)
  key.writeUInt32BE(index + 1, 6)
  key.writeUInt32BE(Math.imul(index + 1, 0x9e3779b1) >>> 0, 34)
  let text = ''
  for (let rest = BigInt(`0x${key.toString('hex')}`); rest > 0n; rest /= 58n) {
    text = ALPHABET[Number(rest % 58n)] + text
  }
  return `1${text}`
}

/** Returns the milliseconds of CPU time that a call takes. */
function timed(call) {
  const before = process.threadCpuUsage()
  call()
  const { user, system } = process.threadCpuUsage(before)
  return (user + system) / 1_000
}

const median = (numbers) => numbers.toSorted((a, b) => a - b)[numbers.length >> 1]

for (const count of process.argv.length > 2
  ? process.argv.slice(2).map(Number)
  : [100, 1_000, 10_000]) {
  const swarm = await createSwarm({
    limits: 'unlimited',
    connections: {
      low: Math.floor(count * 0.6),
      high: count * 2,
      gracePeriod: 0,
      autoConnectBelow: 0
    }
  })
  const peers = Array.from({ length: count }, (_, index) => peerOf(index))
  for (const [index, peer] of peers.entries()) {
    swarm.addConnection(new IdleConn(peer), 'inbound', { remoteAddr: '/ip4/192.0.2.1/tcp/4001' })
    swarm.tagPeer(peer, 'value', Math.imul(index, 0x9e3779b1) % 100)
  }
  const decisions = Array.from({ length: 40 }, () => timed(() => swarm.connectionPruner.explain()))
  const rounds = 200
  const others = Array.from({ length: rounds }, (_, index) => peerOf(count + index))
  const opened = []
  const opening = timed(() => {
    for (const peer of others) opened.push(swarm.addConnection(new IdleConn(peer), 'inbound'))
  })
  const closing = timed(() => {
    for (const connection of opened) void connection.close()
  })
  await Promise.all(opened.map(({ closed }) => closed))
  let trimmed
  const trim = timed(() => {
    trimmed = swarm.connectionPruner.trim()
  })
  console.log(
    `${count} connections: decision first ${decisions[0].toFixed(1)} ms, then median ${median(decisions.slice(5)).toFixed(1)} ms; ` +
      `opened ${((opening / rounds) * 1_000).toFixed(0)} us, close begun ${((closing / rounds) * 1_000).toFixed(0)} us each; ` +
      `decision and the first closes ${trim.toFixed(1)} ms, ${await trimmed} closed`
  )
  await swarm.close({ drainTimeout: 0 })
}
