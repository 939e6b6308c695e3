// S6: a new stream for every request of 1 KiB, which is echoed.

import { atLeast, ownAtMost } from '../runner/floors.mjs'
import { scenario } from '../runner/scenario.mjs'
import { counted, NOISE, operations, P50, QUIC, RATE, TLS } from '../runner/workloads.mjs'

const ONE = [atLeast('js', 10, 20), atLeast('rust', 1.4, 2.5)]
const MANY = [atLeast('js', 20, 50), atLeast('rust', 2, 5)]

scenario({
  id: 'S6',
  name: 'streams',
  title: 'New stream and 1 KiB each way',
  inFull: [NOISE],
  series: [
    requests('rr-seq', 100, 'one at a time', ONE),
    requests('rr-32', 500, '32 at once', MANY, { quic: [atLeast('rust', 1, 1.3)] }),
    requests('rr-100', 500, '100 at once', MANY, { crossings: [ownAtMost(4, 2)] })
  ]
})

function requests(workload, first, when, goals, { crossings = [], quic = [] } = {}) {
  return {
    ...operations(workload, first, { bytes: 1_024 }),
    figures: [
      {
        ...RATE,
        id: workload,
        title: `streams, ${when}`,
        floors: { [NOISE]: goals, [QUIC]: quic }
      },
      { ...P50, id: `${workload}-p50`, title: `p50, ${when}` },
      counted(['drains', 'calls'], {
        id: `${workload}-crossings`,
        title: `crossings, ${when}`,
        unit: '/stream',
        per: ({ ops }) => ops,
        floors: { [NOISE]: crossings, [TLS]: crossings }
      })
    ]
  }
}
