// S1: as many bytes as one stream carries, up and down.

import { atLeast, cpuAtMost } from '../runner/floors.mjs'
import { scenario } from '../runner/scenario.mjs'
import { bulk, NOISE, TLS } from '../runner/workloads.mjs'

const RATE = {
  [NOISE]: [atLeast('js', 4, 5.5), atLeast('rust', 1.25, 2), atLeast('go', 1.2, 2)],
  [TLS]: [atLeast('js', 4, 6), atLeast('rust', 2, 2.8), atLeast('go', 1.5, 2.2)]
}
const floors = { ...RATE, [NOISE]: [...RATE[NOISE], cpuAtMost('rust', 0.75, 0.6)] }

scenario({
  id: 'S1',
  name: 'bulk',
  title: 'Bulk, one stream',
  series: [
    bulk('upload', { id: 'upload', title: 'upload, one stream', floors }),
    bulk('download', { id: 'download', title: 'download, one stream', floors })
  ]
})
