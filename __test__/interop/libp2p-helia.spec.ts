/** Helia over js-libp2p with the components of ferroswarm/libp2p, and stock ones. */
import { declareFiles, libp2pPrograms } from '../support/libp2p-programs.ts'

await libp2pPrograms((run) => declareFiles(run, 'helia.js'))
