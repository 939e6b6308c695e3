// S8: memory of idle connections, and memory retained after they are closed.

import { residentKiB, runClient, startServer } from '../peer-process.mjs'
import { atMost, ownAtMost } from '../runner/floors.mjs'
import { scenario } from '../runner/scenario.mjs'
import { NOISE, QUIC } from '../runner/workloads.mjs'

/** Connections before the first measurement, so that code, pools and young generation have their working size. */
const WARM_UP = 500
/** Concurrent dials. */
const CONCURRENCY = 16
/** The peer of which one process can be thousands of clients. */
const CROWD = 'native'
/** The peers to which it can connect. */
const SERVERS = ['ours', 'native', 'js', 'go', 'rust']

const floors = {
  [NOISE]: [ownAtMost(16, 8), atMost('rust', 0.5)],
  [QUIC]: [atMost('rust', 0.6, 0.5)]
}

scenario({
  id: 'S8',
  name: 'idle',
  title: 'Memory of idle connections',
  inFull: [NOISE],
  series: [
    idle(100, { modes: ['quick'] }),
    idle(1_000, { modes: ['default', 'full'], roundsMax: 3, floors }),
    // Compares servers only: all use the client that can be ten thousand peers in one process.
    idle(10_000, { modes: ['full'], roundsMax: 1, floors, needs: CROWD, peers: SERVERS })
  ]
})

function idle(n, { floors, needs, ...rest }) {
  const count = n.toLocaleString('en')
  const figure = (id, title, value, goals) => ({
    id: `idle-${n}${id}`,
    title: `${title}, ${count} connections`,
    unit: 'KiB',
    better: 'less',
    value: (line) => value(line) / n,
    floors: goals
  })
  const full = figure('', 'server end', ({ base, full }) => full.server - base.server, floors)
  const left = figure(
    '-left',
    'retained by the server',
    ({ base, gone }) => gone.server - base.server
  )
  const client = figure('-client', 'client end', ({ base, full }) => full.client - base.client)
  return {
    workload: 'idle',
    run: (target, _size, { plan }) => fill(target, needs ? plan.peers[needs] : target, n),
    needs,
    figures: needs ? [full, left] : [full, left, client],
    ...rest
  }
}

/** Uses a new server: memory retained from another round would hide that of this one. */
async function fill(target, client, n) {
  const server = await startServer(target.command, target.stack)
  const line = {}
  try {
    const warmUp = { workload: 'first-byte', n: Math.min(WARM_UP, n) }
    await runClient(client.command, target.stack, server.addr, warmUp)
    const args = { workload: 'idle', n, concurrency: CONCURRENCY }
    await runClient(client.command, target.stack, server.addr, args, ({ phase, rss_kb }) => {
      line[phase] = { server: residentKiB(server.pid), client: rss_kb }
    })
  } finally {
    await server.stop()
  }
  return line
}
