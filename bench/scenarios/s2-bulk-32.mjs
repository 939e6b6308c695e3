// S2: bulk throughput of 32 concurrent streams over one connection.

import { scenario } from '../runner/scenario.mjs'
import { bulk, NOISE } from '../runner/workloads.mjs'

scenario({
  id: 'S2',
  name: 'bulk-32',
  title: 'Bulk, 32 streams',
  inFull: [NOISE],
  series: [
    bulk('upload-32', { id: 'upload-32', title: 'upload, 32 streams' }),
    bulk('download-32', { id: 'download-32', title: 'download, 32 streams' })
  ]
})
