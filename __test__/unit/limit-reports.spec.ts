/** The event `limit`: which facts it reports, and with what. */
import test from 'ava'
import { DiagnosticCode } from '../../ts/diagnostics/codes.ts'
import { LimitReports } from '../../ts/diagnostics/limit-reports.ts'
import { Log } from '../../ts/diagnostics/log.ts'
import { Reports } from '../../ts/diagnostics/report.ts'
import type { LimitDetail } from '../../ts/resource-manager/interfaces.ts'
import { limitError } from '../../ts/resource-manager/refusal.ts'
import { Swarm } from '../../ts/swarm.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { Hearing } from '../support/hearing.ts'

const SCOPE = {
  scope: 'system',
  resource: 'connectionsInbound',
  limit: 2,
  current: 2,
  requested: 1,
  priority: 255
}

function setUp() {
  const clock = new FakeClock()
  const hearing = new Hearing()
  const log = new Log(hearing.logger, '')
  const swarm = new Swarm()
  swarm.addEventListener('limit', () => {})
  const details: LimitDetail[] = []
  let made = 0
  const limits = new LimitReports(swarm, log, clock, {
    emit: (detail) => void details.push(detail),
    limitError: (refusal) => {
      made += 1
      return limitError(refusal, {})
    }
  })
  const reports = new Reports(swarm, log, clock, limits)
  /** Reports a refused connection by the text of its refusal. */
  const report = (text: string, address = ''): void => {
    const code = DiagnosticCode.connectionRefused
    const details = [0, 0, 0] as const
    reports.report({ code, node: 1, connection: 0, time: 0, details, address, text }, undefined)
  }
  return { hearing, limits, details, report, made: () => made }
}

test('the address of a refusal is undefined if it is not known', (t) => {
  const { details, report } = setUp()
  report('connectionsInbound 2 2 1 255 system')
  report('connectionsInbound 2 2 1 255 system', '/ip4/127.0.0.1/tcp/1')
  t.deepEqual(
    details.map(({ address }) => address),
    [undefined, '/ip4/127.0.0.1/tcp/1']
  )
})

test('a refusal by a closed manager is logged, and no event', (t) => {
  const { hearing, details, report } = setUp()
  report('closed 0 0 0 255 ')
  t.is(hearing.facts('connectionRefused').length, 1)
  t.deepEqual(details, [])
})

test('a refusal that a dry run lets pass has one error, in the log and in the event', (t) => {
  const { hearing, limits, details, made } = setUp()
  limits.passed(SCOPE)
  t.is(made(), 1)
  t.true(details[0]?.dryRun)
  t.regex(hearing.lines[0]?.message ?? '', /would refuse: system: 2 of 2 connectionsInbound/)
  // The line of this one is suppressed.
  limits.passed(SCOPE)
  t.is(made(), 2)
  t.is(hearing.lines.length, 1)
})
