// S5: 32 bytes and their echo on a stream that is open.

import { atMost } from '../runner/floors.mjs'
import { scenario } from '../runner/scenario.mjs'
import { NOISE, operations, P50, P99, RATE } from '../runner/workloads.mjs'

const floors = {
  [NOISE]: [atMost('go', 1, 0.8), atMost('js', 0.25), atMost('net', undefined, 1.2)]
}

scenario({
  id: 'S5',
  name: 'echo',
  title: 'Echo of 32 B on an open stream',
  series: [
    {
      ...operations('ping', 1_000),
      figures: [
        { ...P50, id: 'echo-p50', title: 'echo p50', floors },
        { ...P99, id: 'echo-p99', title: 'echo p99' },
        { ...RATE, id: 'echo-rate', title: 'echoes one after another' }
      ]
    }
  ]
})
