// S13: framing and negotiation alone, in memory, in JavaScript and in Rust.

import { runClient } from '../peer-process.mjs'
import { scenario } from '../runner/scenario.mjs'
import { NOISE, operations, RATE } from '../runner/workloads.mjs'

scenario({
  id: 'S13',
  name: 'micro',
  title: 'Framing and negotiation in memory',
  withoutStack: true,
  series: [
    micro('frames', { bytes: 100 }, 'messages of 100 B framed and parsed'),
    micro('negotiations', {}, 'negotiations of one protocol')
  ]
})

function micro(workload, args, title) {
  return {
    ...operations(workload, 5_000),
    // There is no server, whose CPU time is part of the default figure.
    cpu: undefined,
    run: ({ command, stack }, n) =>
      runClient(command, stack ?? NOISE, undefined, { workload, n, ...args }),
    peers: ['ours', 'native'],
    figures: [{ ...RATE, id: workload, title }]
  }
}
