// S8: what a connection takes while nothing goes over it, and what stays when it is gone.

import { residentKiB, runClient, startServer } from '../peer-process.mjs'
import { atMost, ownAtMost } from '../runner/floors.mjs'
import { scenario } from '../runner/scenario.mjs'
import { NOISE } from '../runner/workloads.mjs'

/** Connections before memory is read first: code, pools and young generation have their working size then. */
const WARM_UP = 500
/** Clients that connect at once. */
const CONCURRENCY = 16
/** The peer whose one process is thousands of clients. */
const CROWD = 'native'
/** Those whose connections that peer can open. */
const SERVERS = ['ours', 'native', 'js', 'go', 'rust']

const floors = { [NOISE]: [ownAtMost(16, 8), atMost('rust', 0.5)] }

scenario({
  id: 'S8',
  name: 'idle',
  title: 'Memory of idle connections',
  inFull: [NOISE],
  series: [
    idle(100, { modes: ['quick'] }),
    idle(1_000, { modes: ['default', 'full'], roundsMax: 3, floors }),
    // The servers alone are compared: one client that can be ten thousand peers in one process is that of all.
    idle(10_000, { modes: ['full'], roundsMax: 1, floors, needs: CROWD, peers: SERVERS })
  ]
})

function idle(n, { floors, needs, ...rest }) {
  const count = n.toLocaleString('en')
  const figure = (id, title, value, goals) => ({
    id: `idle-${n}${id}`,
    title: `${title} of ${count}`,
    unit: 'KiB',
    better: 'less',
    value: (line) => value(line) / n,
    floors: goals
  })
  const full = figure('', 'server end', ({ base, full }) => full.server - base.server, floors)
  const left = figure('-left', 'left at the server', ({ base, gone }) => gone.server - base.server)
  const client = figure('-client', 'client end', ({ base, full }) => full.client - base.client)
  return {
    workload: 'idle',
    run: (target, _size, { plan }) => fill(target, needs ? plan.peers[needs] : target, n),
    needs,
    figures: needs ? [full, left] : [full, left, client],
    ...rest
  }
}

/** A server of its own: memory that another round left behind would hide what this one takes. */
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
