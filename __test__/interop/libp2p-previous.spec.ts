/** The components of ferroswarm/libp2p in the previous minor version of libp2p. */
import { declareFiles, libp2pPrograms } from '../support/libp2p-programs.ts'

await libp2pPrograms((run) => declareFiles(run, 'services.js', 'faults.js', 'lifecycle.js'), {
  launcher: ['env', 'LIBP2P=libp2p-previous']
})
