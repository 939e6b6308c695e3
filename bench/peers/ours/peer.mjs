// ferroswarm as a peer program, see interop/contract.md. Uses dist as built by `npm run build`.

import { hostPort, runPeer } from '../command.mjs'
import { printLine, serveStats } from '../measure.mjs'
import { connect, makeSwarm } from './node.mjs'
import { serve } from './server.mjs'

/** Drain timeout at the end, in milliseconds, for streams that the remote does not finish. */
const CLOSE_MS = 200

await runPeer({ server, client })

async function server({ stack, listen }) {
  const swarm = await makeSwarm(stack, {})
  serve(swarm)
  const { host, port } = hostPort(listen)
  await swarm.listen(addressOf(stack, host, port))
  const [addr] = swarm.getListenAddrs()
  printLine({ addr: `${addr}/p2p/${swarm.peerId}` })
  await serveStats(() => swarm.counters())
  await swarm.close({ drainTimeout: CLOSE_MS })
}

async function client(options) {
  // Imported by clients only, as the start of a server is measured.
  const { WORKLOADS } = await import('./workloads.mjs')
  const workload = WORKLOADS[options.workload]
  if (workload === undefined) throw new Error(`there is no workload named ${options.workload}`)
  const swarms = []
  const run = {
    ...options,
    /** Creates a node of the stack under test, closed at the end of the run. */
    swarm: async () => {
      const swarm = await makeSwarm(options.stack, {})
      swarms.push(swarm)
      return swarm
    },
    /** Returns the counters of all swarms of this thread. */
    counters: () => swarms[0].counters(),
    /** Connects to the server. `swarm` defaults to a new node. */
    connect: async (swarm) => connect(swarm ?? (await run.swarm()), options.addr)
  }
  try {
    return await workload(run)
  } finally {
    await Promise.all(swarms.map((swarm) => swarm.close({ drainTimeout: CLOSE_MS })))
  }
}

function addressOf(stack, host, port) {
  if (stack === 'quic') return `/ip4/${host}/udp/${port}/quic-v1`
  return `/ip4/${host}/tcp/${port}${stack.startsWith('ws-') ? '/ws' : ''}`
}
