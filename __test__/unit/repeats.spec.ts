import test from 'ava'
import { DiagnosticCode, type DiagnosticName } from '../../ts/diagnostics/codes.ts'
import { Log } from '../../ts/diagnostics/log.ts'
import { Reports } from '../../ts/diagnostics/report.ts'
import { Swarm } from '../../ts/swarm.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { fakeConnection } from '../support/fake-connection.ts'
import { Hearing } from '../support/hearing.ts'

/** What the refusals of the scopes say. */
const LIMITS = { protocolDefault: { streamsInbound: 2 } }

const ADDRESS = '/ip4/127.0.0.1/tcp/4001'

function setUp() {
  const clock = new FakeClock()
  const hearing = new Hearing()
  const reports = new Reports(new Swarm({ limits: LIMITS }), new Log(hearing.logger, ''), clock)
  const [first, second] = [fakeConnection().connection, fakeConnection().connection]
  /** Runs `run` and returns the lines that it logged, with their suppressed counts. */
  const logged = (run: () => void): string[] => {
    run()
    return hearing.lines.splice(0).map(({ message, fact }) => `${message}, ${fact?.suppressed}`)
  }
  const report = (
    count = 1,
    {
      name = 'streamRefused',
      resource = 'acceptBacklog',
      scopeOf = () => '',
      of = first
    }: {
      name?: DiagnosticName
      resource?: string
      scopeOf?: (index: number) => string
      of?: typeof first | null
    } = {}
  ): void => {
    const code = DiagnosticCode[name]
    const fact = { code, node: 1, connection: 1, address: ADDRESS, details: [0, 0, 0] as const }
    for (let index = 0; index < count; index += 1) {
      const text = `${resource} 2 ${index} 1 255 ${scopeOf(index)}`
      reports.report({ ...fact, time: index, text }, of ?? undefined)
    }
  }
  const refused = (option = 'limits.acceptBacklog', { id } = first): string =>
    `a stream of connection ${id} (${ADDRESS}) was refused: ${option} is 2`
  return { clock, hearing, reports, first, second, logged, report, refused }
}

test('a kind of fact has one line per connection and second, and the next line counts the rest', (t) => {
  const { clock, logged, report, refused } = setUp()
  t.deepEqual(
    logged(() => report(313)),
    [`${refused()}, 0`]
  )
  clock.advance(999)
  t.deepEqual(
    logged(() => report()),
    []
  )
  clock.advance(1)
  t.deepEqual(
    logged(() => report(2)),
    [`${refused()} (and 313 more), 313`]
  )
  clock.advance(5_000)
  t.deepEqual(
    logged(() => report()),
    [`${refused()} (and 1 more), 1`]
  )
  clock.advance(1_000)
  t.deepEqual(
    logged(() => report()),
    [`${refused()}, 0`]
  )
})

test('the end of a connection logs the last suppressed fact, and counts those before it', (t) => {
  const { hearing, reports, first, logged, report, refused } = setUp()
  t.deepEqual(
    logged(() => report(313)),
    [`${refused()}, 0`]
  )
  reports.ended(first)
  const [{ fact, message } = {}] = hearing.lines.splice(0)
  t.is(message, `${refused()} (and 311 more)`)
  t.like(fact, {
    time: 312,
    suppressed: 311,
    details: { resource: 'acceptBacklog', limit: 2, current: 312 }
  })
  t.deepEqual(
    logged(() => reports.ended(first)),
    []
  )
})

test('a connection whose facts have all been logged ends without another line', (t) => {
  const { reports, first, second, logged, report } = setUp()
  t.is(logged(() => report()).length, 1)
  t.deepEqual(
    logged(() => {
      reports.ended(first)
      reports.ended(second)
    }),
    []
  )
})

test('kinds, causes and connections are counted separately', (t) => {
  const { reports, first, second, logged, report, refused } = setUp()
  t.is(
    logged(() => {
      report(2)
      report(3, { resource: 'maxInbound' })
      report(4, { name: 'readPaused', resource: 'awaiting' })
      report(5, { of: second })
    }).length,
    4
  )
  t.deepEqual(
    logged(() => reports.ended(second)),
    [`${refused('limits.acceptBacklog', second)} (and 3 more), 3`]
  )
  const left = logged(() => reports.ended(first))
  t.deepEqual(left.slice(0, 2), [`${refused()}, 0`, `${refused('maxInbound')} (and 1 more), 1`])
  t.is(left.length, 3)
})

test('refusals by one option are counted together, whatever their scopes', (t) => {
  const { reports, first, logged, report } = setUp()
  const prefix = `a stream of connection ${first.id} (${ADDRESS}) was refused:`
  const option = '(limits.protocolDefault.streamsInbound)'
  const scopeOf = (index: number): string => `protocol:/a name/${index}`
  t.deepEqual(
    logged(() => report(9, { resource: 'streamsInbound', scopeOf })),
    [`${prefix} protocol:/a name/0 has 0 of 2 streamsInbound ${option}, 0`]
  )
  t.deepEqual(
    logged(() => reports.ended(first)),
    [`${prefix} protocol:/a name/8 has 8 of 2 streamsInbound ${option} (and 7 more), 7`]
  )
})

test('facts that a connection has once, or that belong to none, are logged one by one', (t) => {
  const { logged, report } = setUp()
  const names = ['connectionRefused', 'upgradeFailed', 'upgradeAbandoned', 'muxerFailed'] as const
  for (const name of names) {
    t.is(logged(() => report(3, { name, of: null })).length, 3, name)
  }
  t.is(logged(() => report(3, { name: 'muxerFailed' })).length, 3)
})

test('connections that were never reported share one line per second', (t) => {
  const { clock, reports, first, logged, report } = setUp()
  const refused = `a stream of connection ${ADDRESS} was refused: limits.acceptBacklog is 2`
  t.deepEqual(
    logged(() => report(1_024, { of: null })),
    [`${refused}, 0`]
  )
  clock.advance(1_000)
  t.deepEqual(
    logged(() => report(3, { of: null })),
    [`${refused} (and 1023 more), 1023`]
  )
  t.deepEqual(
    logged(() => reports.ended(first)),
    [`${refused} (and 1 more), 1`]
  )
})

test('a clock that is set back suppresses no fact', (t) => {
  const { clock, logged, report } = setUp()
  report()
  clock.advance(-60_000)
  t.is(logged(() => report()).length, 2)
})
