// S3: what JavaScript's end costs: our client, and one in Rust, against a server in Rust.

import { scenario } from '../runner/scenario.mjs'
import { bulk, NOISE } from '../runner/workloads.mjs'

/** Whose server serves both. */
const SERVER = 'native'

scenario({
  id: 'S3',
  name: 'bulk-native',
  title: 'Bulk, the server in Rust',
  inFull: [NOISE],
  series: [
    againstRust('upload', { id: 'upload-native', title: 'upload, read by Rust' }),
    againstRust('download', { id: 'download-native', title: 'download, written by Rust' })
  ]
})

function againstRust(workload, figure) {
  return { ...bulk(workload, figure), server: SERVER, peers: ['ours', SERVER] }
}
