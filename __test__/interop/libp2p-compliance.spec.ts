/** The compliance suites of js-libp2p over the components of ferroswarm/libp2p. */
import { declareSuite, libp2pPrograms } from '../support/libp2p-programs.ts'

/** Tests of each suite. */
const TRANSPORT = 15
const ENCRYPTER = 4
const MUXER = 46

const GROUPS: Readonly<Record<string, number>> = {
  yamux: MUXER,
  noise: ENCRYPTER,
  tls: ENCRYPTER,
  'tcp among the components of the suite': TRANSPORT,
  'tcp with noise and yamux': TRANSPORT,
  'tcp with tls and yamux': TRANSPORT,
  '@libp2p/tcp with noise and yamux': TRANSPORT,
  '@libp2p/tcp with tls and yamux': TRANSPORT,
  '@libp2p/websockets with noise and yamux': TRANSPORT,
  '@libp2p/websockets with tls and yamux': TRANSPORT
}

await libp2pPrograms((run) => {
  for (const [group, tests] of Object.entries(GROUPS)) {
    declareSuite(run, 'compliance.js', group, tests)
  }
})
