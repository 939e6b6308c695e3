// S14: js-libp2p with the components of ferroswarm/libp2p, beside stock js-libp2p and ferroswarm alone.

import { atLeast, atMost, cpuAtMost } from '../runner/floors.mjs'
import { scenario } from '../runner/scenario.mjs'
import { bulk, NOISE, operations, P50, RATE } from '../runner/workloads.mjs'

const COMPARED = { subject: 'dropin', peers: ['dropin', 'js', 'ours'] }

const of = (...goals) => ({ [NOISE]: goals })

scenario({
  id: 'S14',
  name: 'dropin',
  title: 'js-libp2p on ferroswarm',
  inFull: [NOISE],
  series: [
    {
      ...COMPARED,
      ...bulk('upload', {
        id: 'dropin-upload',
        title: 'upload, one stream',
        floors: of(atLeast('js', 3.5, 5), cpuAtMost('js', 0.35), atLeast('ours', 0.7))
      })
    },
    streams('rr-seq', 'one at a time', 100, atLeast('js', 8, 12), atLeast('ours', 0.5)),
    streams('rr-32', '32 at once', 500, atLeast('js', 12, 25), atLeast('ours', 0.35)),
    {
      ...COMPARED,
      ...operations('ping', 1_000),
      figures: [
        {
          ...RATE,
          id: 'dropin-echo',
          title: 'echoes of 32 B on an open stream',
          floors: of(atLeast('js', 4, 6), atLeast('ours', 0.5))
        },
        {
          ...P50,
          id: 'dropin-echo-p50',
          title: 'echo p50',
          floors: of(atMost('js', undefined, 0.25))
        }
      ]
    }
  ]
})

function streams(workload, when, first, ...goals) {
  return {
    ...COMPARED,
    ...operations(workload, first, { bytes: 32 }),
    figures: [
      { ...RATE, id: `dropin-${workload}`, title: `streams, ${when}`, floors: of(...goals) }
    ]
  }
}
