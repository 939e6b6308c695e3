// Nodes of the stack under test, with every limit at its maximum.

import { createSwarm } from '../../../dist/index.js'

const SECURITY = { 'tcp-noise-yamux': 'noise', 'tcp-tls-yamux': 'tls' }

const LIMITS = {
  pendingInboundMax: 65_535,
  connectionsMax: 65_535,
  pendingInboundPerHostMax: 65_535,
  acceptBacklog: 65_535,
  inboundStreamsMax: 65_535,
  outboundStreamsMax: 65_535
}

export async function makeSwarm(stack, services) {
  const security = SECURITY[stack]
  if (security === undefined) throw new Error(`there is no stack named ${stack}`)
  return createSwarm({ security: [security], muxers: ['yamux'], limits: LIMITS, services })
}

export function connect(swarm, addr) {
  if (addr === undefined) throw new Error('--addr is missing')
  return swarm.dialAddr(addr)
}
