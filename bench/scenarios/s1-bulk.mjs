// S1: bulk throughput of one stream, up and down.

import { atLeast, cpuAtMost, ownAtMost } from '../runner/floors.mjs'
import { scenario } from '../runner/scenario.mjs'
import { bulk, counted, mebibytes, NOISE, QUIC, TLS } from '../runner/workloads.mjs'

const RATE = {
  [NOISE]: [atLeast('js', 4, 5.5), atLeast('rust', 1.25, 2), atLeast('go', 1.2, 2)],
  [TLS]: [atLeast('js', 4, 6), atLeast('rust', 2, 2.8), atLeast('go', 1.5, 2.2)],
  [QUIC]: [atLeast('rust', 1.1, 1.3), atLeast('go', 1.2, 1.3)]
}
const floors = { ...RATE, [NOISE]: [...RATE[NOISE], cpuAtMost('rust', 0.75, 0.6)] }

const WAKES = [ownAtMost(10, 6)]

scenario({
  id: 'S1',
  name: 'bulk',
  title: 'Bulk, one stream',
  series: [
    withWakes(bulk('upload', { id: 'upload', title: 'upload, one stream', floors })),
    withWakes(bulk('download', { id: 'download', title: 'download, one stream', floors }))
  ]
})

function withWakes(series) {
  const wakes = counted(['rings'], {
    id: `${series.workload}-wakes`,
    title: `JavaScript wakeups, ${series.workload}`,
    unit: '/MiB',
    per: mebibytes,
    floors: { [NOISE]: WAKES, [TLS]: WAKES }
  })
  return { ...series, figures: [...series.figures, wakes] }
}
