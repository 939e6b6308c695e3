// ferroswarm as a peer program: the contract is in interop/contract.md. Uses what `npm run build` left in dist.

import { parseArgs } from 'node:util'
import { printLine } from './measure.mjs'
import { connect, makeSwarm } from './node.mjs'
import { serve } from './server.mjs'
import { WORKLOADS } from './workloads.mjs'

/** Milliseconds to wait at the end for streams that the other side does not finish. */
const CLOSE_MS = 200

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    stack: { type: 'string' },
    listen: { type: 'string', default: '127.0.0.1:0' },
    addr: { type: 'string' },
    workload: { type: 'string' },
    n: { type: 'string', default: '1' },
    bytes: { type: 'string', default: '1024' },
    concurrency: { type: 'string', default: '1' }
  }
})

try {
  const [mode] = positionals
  if (mode === 'server') await server()
  else if (mode === 'client') await client()
  else throw new Error('usage: peer.mjs server|client --stack S ...')
} catch (err) {
  console.error(err)
  printLine({ error: err instanceof Error ? err.message : String(err) })
  process.exitCode = 1
}

async function server() {
  const swarm = await makeSwarm(values.stack, { perf: true })
  serve(swarm)
  const [host, port] = values.listen.split(/:(?=\d+$)/)
  await swarm.listen(`/ip4/${host}/tcp/${port}`)
  const [addr] = swarm.getListenAddrs()
  printLine({ addr: `${addr}/p2p/${swarm.peerId}` })
  for await (const _ of process.stdin) {
    // Whatever comes: only the end counts.
  }
  await swarm.close({ drainTimeout: CLOSE_MS })
}

async function client() {
  const workload = WORKLOADS[values.workload]
  if (workload === undefined) throw new Error(`there is no workload named ${values.workload}`)
  const made = []
  const run = {
    n: Number(values.n),
    bytes: Number(values.bytes),
    concurrency: Number(values.concurrency),
    /** A node of the stack under test; gone at the end of the run. */
    swarm: async () => {
      const swarm = await makeSwarm(values.stack, {})
      made.push(swarm)
      return swarm
    },
    /** A connection from `swarm`, a fresh node unless given, to the server. */
    connect: async (swarm) => connect(swarm ?? (await run.swarm()), values.addr)
  }
  try {
    const line = await workload(run)
    if (line !== undefined) printLine(line)
  } finally {
    await Promise.all(made.map((swarm) => swarm.close({ drainTimeout: CLOSE_MS })))
  }
}
