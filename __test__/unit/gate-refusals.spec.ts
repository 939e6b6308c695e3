import test from 'ava'
import { Log } from '../../ts/diagnostics/log.ts'
import { RefusalReports, type RefusedDetail } from '../../ts/gate/refusals.ts'
import { FakeClock } from '../support/fake-clock.ts'

const PEER = 'QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N'

function reportsOf(isHeard: boolean, lines?: string[]) {
  const clock = new FakeClock()
  const emitted: RefusedDetail[] = []
  const logger = lines === undefined ? {} : { debug: (line: string) => void lines.push(line) }
  const reports = new RefusalReports({
    clock,
    log: new Log(logger, ''),
    isHeard: () => isHeard,
    emit: (detail) => void emitted.push(detail)
  })
  return { clock, emitted, reports }
}

test('inbound refusals are reported 1,024 times a second at most, outbound ones always', (t) => {
  const { clock, emitted, reports } = reportsOf(true)
  const inbound = { direction: 'inbound' } as const
  for (let count = 0; count < 2_000; count += 1) reports.refused('accept', inbound, 'full')
  t.is(emitted.length, 1_024)
  reports.refused('peerDial', { direction: 'outbound', peer: PEER }, 'banned')
  t.is(emitted.length, 1_025)
  clock.advance(999)
  reports.refused('accept', inbound, 'full')
  t.is(emitted.length, 1_025)
  clock.advance(1)
  reports.refused('accept', inbound, 'full')
  t.is(emitted.length, 1_026)
})

test('a report has what is known, and is frozen', (t) => {
  const { emitted, reports } = reportsOf(true)
  const remoteAddress = '/ip4/192.0.2.1/tcp/1'
  reports.refused('secured', { direction: 'inbound', peer: PEER, remoteAddress }, 'banned')
  reports.refused('accept', { direction: 'inbound', peer: '', remoteAddress: '/' }, 'full')
  const [known, unknown] = emitted
  t.is(`${known?.peer} ${known?.remoteAddr}`, `${PEER} ${remoteAddress}`)
  t.like(unknown, { peer: undefined, remoteAddr: undefined, stage: 'accept', rule: 'full' })
  t.true(emitted.every((detail) => Object.isFrozen(detail)))
})

test('the log has a printable line for each, without a listener too', (t) => {
  const lines: string[] = []
  const { emitted, reports } = reportsOf(false, lines)
  const remoteAddress = '/ip4/192.0.2.1/tcp/1'
  reports.refused('accept', { direction: 'inbound', remoteAddress }, 'a\u001b[31mb')
  reports.refused('secured', { direction: 'outbound', peer: PEER, remoteAddress }, 'banned')
  t.deepEqual(emitted, [])
  t.is(lines.length, 2)
  t.false(lines[0]?.includes('\u001b'))
  t.is(lines[1], `a dial of ${remoteAddress} of ${PEER} was refused at secured: banned`)
})
