/** What goes wrong in the life of a node of js-libp2p with the components of ferroswarm/libp2p. */
import { declareFiles, libp2pPrograms } from '../support/libp2p-programs.ts'

await libp2pPrograms((run) => declareFiles(run, 'faults.js', 'lifecycle.js'))
