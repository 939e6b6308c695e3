// S4: consecutive small messages on one stream, one call each.

import { atLeast } from '../runner/floors.mjs'
import { scenario } from '../runner/scenario.mjs'
import { NOISE, operations, RATE } from '../runner/workloads.mjs'

const floors = { [NOISE]: [atLeast('js', 20), atLeast('rust', 5, 20)] }

scenario({
  id: 'S4',
  name: 'messages',
  title: 'Small messages on one stream',
  inFull: [NOISE],
  series: [
    messages('msgs', 100, { id: 'msgs', title: 'messages of 100 B, one call each', floors }),
    {
      ...messages('msgs', 1_024, { id: 'msgs-1k', title: 'messages of 1 KiB, one call each' }),
      modes: ['default', 'full']
    },
    messages('lp', 100, { id: 'lp', title: "messages of 100 B, each library's own framing" })
  ]
})

function messages(workload, bytes, figure) {
  return { ...operations(workload, 10_000, { bytes }), figures: [{ ...RATE, ...figure }] }
}
