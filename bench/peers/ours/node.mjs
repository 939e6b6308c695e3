// Nodes of the stack under test, without limits, as those of the other stacks.

import { createSwarm } from '../../../dist/index.js'

const SETTINGS = {
  'tcp-noise-yamux': { security: ['noise'] },
  'tcp-tls-yamux': { security: ['tls'] },
  'ws-noise-yamux': { security: ['noise'] },
  quic: {}
}

export async function makeSwarm(stack, services) {
  const settings = SETTINGS[stack]
  if (settings === undefined) throw new Error(`there is no stack named ${stack}`)
  return createSwarm({
    ...settings,
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
