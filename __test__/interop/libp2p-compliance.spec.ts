/** The compliance suites of js-libp2p over the components of ferroswarm/libp2p. */
import { declareCompliance, libp2pPrograms } from '../support/libp2p-programs.ts'

await libp2pPrograms(declareCompliance)
