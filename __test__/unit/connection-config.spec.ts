import test from 'ava'
import {
  CONNECTION_DEFAULTS,
  type ConnectionConfig,
  InvalidParametersError,
  type LimitConfig,
  Swarm
} from '../../ts/index.ts'

const NONE = Number.POSITIVE_INFINITY

function configOf(connections?: ConnectionConfig, limits?: 'auto' | 'unlimited' | LimitConfig) {
  const swarm = new Swarm({
    ...(connections === undefined ? {} : { connections }),
    ...(limits === undefined ? {} : { limits })
  })
  return { config: swarm.connectionConfig, system: swarm.options.limits.system }
}

// S21
test('the option connections is kept with its defaults, and frozen', (t) => {
  const { config } = configOf()
  t.deepEqual(config, {
    max: 300,
    maxPerPeer: 3,
    dialTimeout: 10_000,
    inboundUpgradeTimeout: 10_000,
    outboundUpgradeTimeout: 10_000,
    streamNegotiationTimeout: 10_000,
    strategy: 'best',
    allow: [],
    deny: []
  })
  t.deepEqual(config, CONNECTION_DEFAULTS)
  t.true(Object.isFrozen(config))
  t.like(configOf({ maxPerPeer: 1, inboundUpgradeTimeout: 0, dialTimeout: NONE }).config, {
    maxPerPeer: 1,
    inboundUpgradeTimeout: 0,
    dialTimeout: NONE,
    outboundUpgradeTimeout: 10_000
  })
  t.is(configOf({ maxPerPeer: undefined } as unknown as ConnectionConfig).config.maxPerPeer, 3)
})

// S13
test('each invalid value is an error of its own that names the option and the value', (t) => {
  const count = 'a whole number of 1 or more, or Infinity'
  const duration = 'a duration of 0 to 2147483647 ms or Infinity'
  const strategy =
    'one of best, round_robin, least_loaded, latency_based, health_based, or a function'
  const wrong: [object | string, string][] = [
    [{ max: 0 }, `connections.max to be ${count}, received 0`],
    [{ max: 1.5 }, `connections.max to be ${count}, received 1.5`],
    [{ max: 'unlimited' }, `connections.max to be ${count}, received "unlimited"`],
    [{ maxPerPeer: 0 }, `connections.maxPerPeer to be ${count}, received 0`],
    [{ maxPerPeer: Number.NaN }, `connections.maxPerPeer to be ${count}, received NaN`],
    [{ dialTimeout: -1 }, `connections.dialTimeout to be ${duration}, received -1`],
    [
      { inboundUpgradeTimeout: -5 },
      `connections.inboundUpgradeTimeout to be ${duration}, received -5`
    ],
    [
      { outboundUpgradeTimeout: '1' },
      `connections.outboundUpgradeTimeout to be ${duration}, received "1"`
    ],
    [
      { streamNegotiationTimeout: Date.now() },
      `connections.streamNegotiationTimeout to be ${duration}, received`
    ],
    [{ strategy: 'Best' }, `connections.strategy to be ${strategy}, received "Best"`],
    [{ strategy: 'toString' }, `connections.strategy to be ${strategy}, received "toString"`],
    [{ strategy: {} }, `connections.strategy to be ${strategy}, received`],
    ['best', 'connections to be an object, received "best"'],
    [null, 'connections to be an object, received null'] as never
  ]
  for (const [connections, message] of wrong) {
    const err = t.throws(() => new Swarm({ connections: connections as never }), {
      instanceOf: InvalidParametersError
    })
    t.true(err.message.startsWith(`expected ${message}`), err.message)
  }
})

test('unknown names are refused, the former limits and watermarks among them', (t) => {
  for (const options of [
    { connections: { high: 200 } },
    { connections: { maxperpeer: 2 } },
    { limits: { upgradeTimeoutMs: 5 } },
    { limits: { streamNegotiationTimeoutMs: 5 } }
  ]) {
    t.throws(() => new Swarm(options as never), {
      instanceOf: InvalidParametersError,
      message: /unknown option/
    })
  }
})

test('max is the limit of the system, and of two that are given the smaller applies', (t) => {
  const cases: [number | undefined, 'auto' | 'unlimited' | LimitConfig | undefined, number][] = [
    [undefined, undefined, 300],
    [undefined, 'auto', 300],
    [undefined, { system: { streams: 5 } }, 300],
    [undefined, { system: { connections: 5_000 } }, 5_000],
    [undefined, { system: { connections: 0 } }, 0],
    [undefined, { system: { connections: 'unlimited' } }, NONE],
    [undefined, 'unlimited', NONE],
    [7, undefined, 7],
    [20_000, undefined, 20_000],
    [NONE, undefined, NONE],
    [7, 'unlimited', 7],
    [7, { system: { connections: 'unlimited' } }, 7],
    [7, { system: { connections: 9 } }, 7],
    [9, { system: { connections: 7 } }, 7]
  ]
  for (const [max, limits, expected] of cases) {
    const { config, system } = configOf(max === undefined ? undefined : { max }, limits)
    const title = JSON.stringify([max, limits])
    t.is(config.max, expected, title)
    t.is(system.connections, expected, title)
  }
})
