// TCP of node:net, without libp2p. The contract and the stack `tcp` are described in interop/contract.md.

import { runPeer } from '../command.mjs'
import { serve } from './server.mjs'
import { WORKLOADS } from './workloads.mjs'

await runPeer({
  server: async (options) => serve(checked(options)),
  client: async (options) => {
    const workload = WORKLOADS[checked(options).workload]
    if (workload === undefined) {
      throw new Error(`there is no workload named ${options.workload} over tcp`)
    }
    return workload(options)
  }
})

function checked(options) {
  if (options.stack !== 'tcp') throw new Error(`there is no stack named ${options.stack}`)
  return options
}
