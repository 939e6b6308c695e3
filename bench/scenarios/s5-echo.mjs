// S5: 32 bytes and their echo on an open stream.

import { atMost } from '../runner/floors.mjs'
import { scenario } from '../runner/scenario.mjs'
import { NOISE, operations, P50, P99, RATE } from '../runner/workloads.mjs'

const floors = {
  [NOISE]: [atMost('go', 1, 0.8), atMost('js', 0.25), atMost('net', undefined, 1.2)]
}

/** Echoes per second of the open loop: half the sequential rate of the slowest peer. */
const RATE_OPEN = 2_000

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
        { ...RATE, id: 'echo-rate', title: 'sequential echoes' }
      ]
    },
    {
      // Each echo has its due time regardless of earlier ones, so that queueing behind a slow one counts as latency.
      ...operations('ping-open', RATE_OPEN / 10, { rate: RATE_OPEN }),
      figures: [
        { ...P50, id: 'open-p50', title: `echo p50, open loop at ${RATE_OPEN}/s` },
        { ...P99, id: 'open-p99', title: `echo p99, open loop at ${RATE_OPEN}/s` }
      ]
    }
  ]
})
