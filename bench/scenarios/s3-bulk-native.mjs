// S3: the cost of a JavaScript end: our client, and one in Rust, against a server in Rust.

import { scenario } from '../runner/scenario.mjs'
import { bulk, NOISE } from '../runner/workloads.mjs'

/** The peer whose server serves both. */
const SERVER = 'native'

scenario({
  id: 'S3',
  name: 'bulk-native',
  title: 'Bulk, Rust server',
  inFull: [NOISE],
  series: [
    againstRust('upload', { id: 'upload-native', title: 'upload to Rust' }),
    againstRust('download', { id: 'download-native', title: 'download from Rust' })
  ]
})

function againstRust(workload, figure) {
  return { ...bulk(workload, figure), server: SERVER, peers: ['ours', SERVER] }
}
