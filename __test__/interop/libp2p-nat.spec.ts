/** AutoNAT, DCUtR and simultaneous opens of js-libp2p with the components of ferroswarm/libp2p, and stock ones. */
import { spawnSync } from 'node:child_process'
import test from 'ava'
import { declareFiles, libp2pPrograms } from '../support/libp2p-programs.ts'

if (spawnSync('unshare', ['-rn', 'ip', 'link', 'set', 'lo', 'up']).status === 0) {
  await libp2pPrograms((run) => declareFiles(run, 'nat.js'), {
    launcher: ['sh', 'nat.sh']
  })
} else {
  test('this user may not create network namespaces', (t) => t.pass())
}
