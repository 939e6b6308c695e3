// ferroswarm as a peer program: the contract is in interop/contract.md. Uses what `npm run build` left in dist.

import { hostPort, runPeer } from '../command.mjs'
import { printLine, tellStats } from '../measure.mjs'
import { connect, makeSwarm } from './node.mjs'
import { serve } from './server.mjs'

/** Milliseconds to wait at the end for streams that the other side does not finish. */
const CLOSE_MS = 200

await runPeer({ server, client })

async function server({ stack, listen }) {
  const swarm = await makeSwarm(stack, {})
  serve(swarm)
  const { host, port } = hostPort(listen)
  await swarm.listen(`/ip4/${host}/tcp/${port}`)
  const [addr] = swarm.getListenAddrs()
  printLine({ addr: `${addr}/p2p/${swarm.peerId}` })
  await tellStats(() => swarm.counters())
  await swarm.close({ drainTimeout: CLOSE_MS })
}

async function client(options) {
  // With what only a client needs; a server is measured from its start.
  const { WORKLOADS } = await import('./workloads.mjs')
  const workload = WORKLOADS[options.workload]
  if (workload === undefined) throw new Error(`there is no workload named ${options.workload}`)
  const made = []
  const run = {
    ...options,
    /** A node of the stack under test; gone at the end of the run. */
    swarm: async () => {
      const swarm = await makeSwarm(options.stack, {})
      made.push(swarm)
      return swarm
    },
    /** What this thread's swarms have counted, all of them together. */
    counters: () => made[0].counters(),
    /** A connection from `swarm`, a fresh node unless given, to the server. */
    connect: async (swarm) => connect(swarm ?? (await run.swarm()), options.addr)
  }
  try {
    return await workload(run)
  } finally {
    await Promise.all(made.map((swarm) => swarm.close({ drainTimeout: CLOSE_MS })))
  }
}
