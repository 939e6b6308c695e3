import test from 'ava'
import { DiagnosticCode, type DiagnosticName } from '../../ts/diagnostics/codes.ts'
import { Log } from '../../ts/diagnostics/log.ts'
import { Reports } from '../../ts/diagnostics/report.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { fakeConnection } from '../support/fake-connection.ts'
import { Hearing } from '../support/hearing.ts'

const ADDRESS = '/ip4/127.0.0.1/tcp/4001'

function setUp() {
  const clock = new FakeClock()
  const hearing = new Hearing()
  const reports = new Reports(undefined as never, new Log(hearing.logger, ''), clock)
  const [first, second] = [fakeConnection().connection, fakeConnection().connection]
  /** The lines that `count` facts bring, without what they are about. */
  const told = (run: () => void): string[] => {
    run()
    return hearing.lines.splice(0).map(({ message, fact }) => `${message}, ${fact?.suppressed}`)
  }
  const report = (
    count = 1,
    {
      name = 'streamRefused',
      text = 'acceptBacklog',
      of = first
    }: { name?: DiagnosticName; text?: string; of?: typeof first | null } = {}
  ): void => {
    const code = DiagnosticCode[name]
    const fact = { code, node: 1, connection: 1, address: ADDRESS, text }
    for (let index = 0; index < count; index += 1) {
      reports.report({ ...fact, time: index, details: [2, index, 0] }, of ?? undefined)
    }
  }
  const refused = (option = 'acceptBacklog', { id } = first): string =>
    `a stream of connection ${id} (${ADDRESS}) was refused: ${option} is 2`
  return { clock, hearing, reports, first, second, told, report, refused }
}

test('a kind of fact has one line a connection and second, and the next one counts the others', (t) => {
  const { clock, told, report, refused } = setUp()
  t.deepEqual(
    told(() => report(313)),
    [`${refused()}, 0`]
  )
  clock.advance(999)
  t.deepEqual(
    told(() => report()),
    []
  )
  clock.advance(1)
  t.deepEqual(
    told(() => report(2)),
    [`${refused()} (and 313 more), 313`]
  )
  clock.advance(5_000)
  t.deepEqual(
    told(() => report()),
    [`${refused()} (and 1 more), 1`]
  )
  clock.advance(1_000)
  t.deepEqual(
    told(() => report()),
    [`${refused()}, 0`]
  )
})

test('the end of a connection tells the last fact that had no line, and counts those before it', (t) => {
  const { hearing, reports, first, told, report, refused } = setUp()
  t.deepEqual(
    told(() => report(313)),
    [`${refused()}, 0`]
  )
  reports.ended(first)
  const [{ fact, message } = {}] = hearing.lines.splice(0)
  t.is(message, `${refused()} (and 311 more)`)
  t.like(fact, { time: 312, suppressed: 311, details: { limit: 2, current: 312 } })
  t.deepEqual(
    told(() => reports.ended(first)),
    []
  )
})

test('a connection whose facts have all been told ends without another line', (t) => {
  const { reports, first, second, told, report } = setUp()
  t.is(told(() => report()).length, 1)
  t.deepEqual(
    told(() => {
      reports.ended(first)
      reports.ended(second)
    }),
    []
  )
})

test('kinds, causes and connections are counted apart', (t) => {
  const { reports, first, second, told, report, refused } = setUp()
  t.is(
    told(() => {
      report(2)
      report(3, { text: 'maxInbound' })
      report(4, { name: 'readPaused', text: 'awaiting' })
      report(5, { of: second })
    }).length,
    4
  )
  t.deepEqual(
    told(() => reports.ended(second)),
    [`${refused('acceptBacklog', second)} (and 3 more), 3`]
  )
  const left = told(() => reports.ended(first))
  t.deepEqual(left.slice(0, 2), [`${refused()}, 0`, `${refused('maxInbound')} (and 1 more), 1`])
  t.is(left.length, 3)
})

test('facts that a connection has once, or that are about none, are told one by one', (t) => {
  const { told, report } = setUp()
  const names = ['connectionRefused', 'upgradeFailed', 'upgradeAbandoned', 'muxerFailed'] as const
  for (const name of names) {
    t.is(told(() => report(3, { name, of: null })).length, 3, name)
  }
  t.is(told(() => report(3, { name: 'muxerFailed' })).length, 3)
})

test('connections that nobody has been told of have one line a second together', (t) => {
  const { clock, reports, first, told, report } = setUp()
  const refused = `a stream of connection ${ADDRESS} was refused: acceptBacklog is 2`
  t.deepEqual(
    told(() => report(1_024, { of: null })),
    [`${refused}, 0`]
  )
  clock.advance(1_000)
  t.deepEqual(
    told(() => report(3, { of: null })),
    [`${refused} (and 1023 more), 1023`]
  )
  t.deepEqual(
    told(() => reports.ended(first)),
    [`${refused} (and 1 more), 1`]
  )
})

test('a clock that is put back hides no fact', (t) => {
  const { clock, told, report } = setUp()
  report()
  clock.advance(-60_000)
  t.is(told(() => report()).length, 2)
})
