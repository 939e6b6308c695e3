// S7: connections that are upgraded and closed.

import { atLeast } from '../runner/floors.mjs'
import { scenario } from '../runner/scenario.mjs'
import { NOISE, operations, P50, QUIC, RATE } from '../runner/workloads.mjs'

scenario({
  id: 'S7',
  name: 'handshakes',
  title: 'Handshakes',
  series: [
    handshakes('handshake-seq', 'one at a time', [atLeast('js', 5), atLeast('rust', 1.15, 2)]),
    handshakes('handshake-16', '16 at once', [atLeast('js', 8), atLeast('rust', 0.95, 1.4)]),
    {
      ...operations('first-byte', 16),
      figures: [{ ...P50, id: 'first-byte', title: 'p50 from dial to first echo' }]
    }
  ]
})

function handshakes(workload, when, goals) {
  return {
    ...operations(workload, 16),
    figures: [
      {
        ...RATE,
        id: workload,
        title: `handshakes, ${when}`,
        floors: { [NOISE]: goals, [QUIC]: [atLeast('rust', 1, 1.3)] }
      },
      { ...P50, id: `${workload}-p50`, title: `p50, ${when}` }
    ]
  }
}
