// Nodes of the stack under test, without limits, as those of the other stacks.

import { createSwarm } from '../../../dist/index.js'

const SECURITY = { 'tcp-noise-yamux': 'noise', 'tcp-tls-yamux': 'tls' }

export async function makeSwarm(stack, services) {
  const security = SECURITY[stack]
  if (security === undefined) throw new Error(`there is no stack named ${stack}`)
  return createSwarm({
    security: [security],
    muxers: ['yamux'],
    limits: 'unlimited',
    connections: { maxPerPeer: Number.POSITIVE_INFINITY },
    services
  })
}

export function connect(swarm, addr) {
  if (addr === undefined) throw new Error('--addr is missing')
  return swarm.dialAddr(addr)
}
