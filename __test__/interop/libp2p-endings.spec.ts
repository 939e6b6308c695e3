/** Random ends of 10,000 streams, and 10,000 dials, of nodes with the components of ferroswarm/libp2p. */
import test from 'ava'
import { libp2pPrograms } from '../support/libp2p-programs.ts'

/** Bytes of the heap that may stay per stream or dial: less than the smallest object that each of them has. */
const LEFT_BYTES_MAX = 300

interface Result {
  readonly seed: number
  readonly failures: readonly string[]
  readonly bytesPerStream: number
  readonly bytesPerDial: number
}

await libp2pPrograms((run) => {
  test('10,000 streams and 10,000 dials leave nothing behind, and the process ends', async (t) => {
    t.timeout(600_000)
    const ended = await run(['--expose-gc', 'endings.js'])
    t.is(ended.code, 0, ended.err)
    const result = JSON.parse(ended.out) as Result
    t.log(`seed ${result.seed}`)
    t.deepEqual(result.failures, [])
    t.true(result.bytesPerStream < LEFT_BYTES_MAX, `${result.bytesPerStream} bytes a stream`)
    t.true(result.bytesPerDial < LEFT_BYTES_MAX, `${result.bytesPerDial} bytes a dial`)
  })
})
