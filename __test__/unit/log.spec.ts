import test from 'ava'
import { isNamed, Log } from '../../ts/diagnostics/log.ts'

test('DEBUG selects namespaces as in the debug package', (t) => {
  const name = 'ferroswarm:upgrade'
  for (const debug of [
    '*',
    'ferroswarm:*',
    'a,ferroswarm:upgrade',
    'a ferroswarm:up*',
    '*:upgrade'
  ]) {
    t.true(isNamed(debug, name), debug)
  }
  for (const debug of [
    '',
    'ferroswarm',
    'ferroswarm:upgrades',
    'upgrade',
    '*,-ferroswarm:*',
    'ferroswarm.upgrade'
  ]) {
    t.false(isNamed(debug, name), debug)
  }
})

test('a log enables the levels for which its logger has methods', (t) => {
  const log = new Log({ warn: () => {} }, '')
  t.deepEqual(
    (['error', 'warn', 'info', 'debug'] as const).filter((level) => log.hears(level)),
    ['warn']
  )
  t.is(new Log(undefined, '').levels, 0)
  t.is(new Log(undefined, 'ferroswarm:dial').levels, 15)
})

test('methods of a logger are called with the logger as this', (t) => {
  class Lines {
    lines: string[] = []
    info(line: string): void {
      this.lines.push(line)
    }
  }
  const lines = new Lines()
  new Log(lines, '').write('info', 'swarm', 'a line')
  t.deepEqual(lines.lines, ['a line'])
})
