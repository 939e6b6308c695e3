/**
 * Kills a process that writes to a persistent peerstore at random moments, and checks that nothing acknowledged is lost.
 *
 *     node tools/peerstore-kill.mjs --rounds 100
 */
import { parseArgs } from 'node:util'
import { run } from './shared.mjs'

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '100' } } })
process.env.PEERSTORE_KILL_ROUNDS = values.rounds
const spec = '__test__/integration/peerstore-native.spec.ts'
process.exitCode = await run('ava', [spec, '--match', 'killing a writer*'])
