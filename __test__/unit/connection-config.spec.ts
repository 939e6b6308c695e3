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
    high: 200,
    low: 100,
    min: 50,
    gracePeriod: 20_000,
    silencePeriod: 10_000,
    neverPrune: [],
    prunePolicy: 'tags',
    tieBreak: 'oldest',
    autoConnectBelow: 100,
    autoConnectInterval: 30_000,
    autoConnectCooldown: 5_000,
    autoConnectMaxCooldown: 300_000,
    reconnect: { retries: 5, interval: 1_000, factor: 2, maxInterval: 300_000, parallel: 5 },
    decayResolution: 60_000,
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

test('unknown names are refused, the former limits among them', (t) => {
  for (const options of [
    { connections: { highWater: 200 } },
    { connections: { reconnect: { tries: 5 } } },
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

// A1
test('marks that are not given have their shares of max, and bound each other', (t) => {
  const cases: [ConnectionConfig, [high: number, low: number, min: number, below: number]][] = [
    [{}, [200, 100, 50, 100]],
    [{ max: 3_000 }, [2_000, 1_000, 50, 100]],
    [{ max: 30 }, [20, 10, 5, 10]],
    [{ max: 3 }, [2, 1, 0, 1]],
    [{ max: 2 }, [NONE, 0, 0, 0]],
    [{ max: NONE }, [NONE, 100, 50, 100]],
    [{ high: 20 }, [20, 10, 5, 10]],
    [{ low: 250 }, [250, 250, 50, 250]],
    [{ low: 10 }, [200, 10, 5, 10]],
    [{ high: 0 }, [NONE, 100, 50, 100]],
    [{ high: NONE, low: 0 }, [NONE, 0, 0, 0]],
    [{ min: 20, low: 20, high: 20 }, [20, 20, 20, 20]],
    [{ max: 3_000, autoConnectBelow: 7 }, [2_000, 1_000, 50, 7]]
  ]
  for (const [given, expected] of cases) {
    const { high, low, min, autoConnectBelow } = configOf(given).config
    t.deepEqual([high, low, min, autoConnectBelow], expected, JSON.stringify(given))
  }
  t.deepEqual(configOf({ reconnect: { retries: 2 } }).config.reconnect, {
    ...CONNECTION_DEFAULTS.reconnect,
    retries: 2
  })
})

// A1
test('each mark, time and list that is wrong is an error of its own', (t) => {
  const mark = 'a whole number of 0 or more, or Infinity'
  const period = 'a duration of 1 to 2147483647 ms'
  const wrong: [ConnectionConfig | object, string][] = [
    [
      { min: 11, low: 10 },
      'connections.min to be at most connections.low, which is 10, received 11'
    ],
    [
      { low: 11, high: 10 },
      'connections.low to be at most connections.high, which is 10, received 11'
    ],
    [{ high: 300 }, 'connections.high to be less than connections.max, which is 300, received 300'],
    [{ high: 20, max: 10 }, 'connections.high to be less than connections.max, which is 10'],
    [
      { low: 20, max: 10 },
      'connections.low to be less than connections.max, which is 10, received 20'
    ],
    [{ autoConnectBelow: 201 }, 'connections.autoConnectBelow to be at most connections.high'],
    [
      { autoConnectBelow: 301, high: 0 },
      'connections.autoConnectBelow to be at most connections.max, which is 300'
    ],
    [{ low: 300 }, 'connections.low to be less than connections.max, which is 300, received 300'],
    [{ low: NONE, max: NONE }, 'connections.low to be a whole number of 0 or more'],
    [{ autoConnectCooldown: 2, autoConnectMaxCooldown: 1 }, 'connections.autoConnectCooldown'],
    [{ reconnect: { maxInterval: 999 } }, 'connections.reconnect.interval to be at most'],
    [{ min: -1 }, `connections.min to be ${mark}, received -1`],
    [{ low: 1.5 }, `connections.low to be ${mark}, received 1.5`],
    [{ high: '200' }, `connections.high to be ${mark}, received "200"`],
    [{ gracePeriod: -1 }, 'connections.gracePeriod to be a duration of 0'],
    [{ silencePeriod: 0 }, `connections.silencePeriod to be ${period}, received 0`],
    [{ autoConnectInterval: 0 }, `connections.autoConnectInterval to be ${period}, received 0`],
    [{ autoConnectCooldown: -1 }, 'connections.autoConnectCooldown to be a duration of 0'],
    [{ decayResolution: 0 }, `connections.decayResolution to be ${period}, received 0`],
    [{ neverPrune: '10.0.0.0/8' }, 'connections.neverPrune to be an array'],
    [{ neverPrune: ['10.0.0.0/33'] }, 'connections.neverPrune[0] to be an IP address, a network'],
    [{ prunePolicy: 'none' }, 'connections.prunePolicy to be an object'],
    [{ prunePolicy: {} }, 'connections.prunePolicy to be tags, or an object with either'],
    [
      { prunePolicy: { score: () => 0, compare: () => 0 } },
      'connections.prunePolicy to be tags, or an object with either'
    ],
    [{ prunePolicy: { score: 5 } }, 'connections.prunePolicy.score to be a function'],
    [{ tieBreak: 'young' }, 'connections.tieBreak to be one of oldest, newest'],
    [
      { reconnect: { retries: 0 } },
      'connections.reconnect.retries to be a whole number of 1 or more'
    ],
    [{ reconnect: { factor: 0.5 } }, 'connections.reconnect.factor to be a number of 1 or more'],
    [{ reconnect: { parallel: 0 } }, 'connections.reconnect.parallel to be a whole number of 1'],
    [{ reconnect: 5 }, 'connections.reconnect to be an object']
  ]
  for (const [connections, message] of wrong) {
    const err = t.throws(() => new Swarm({ connections: connections as ConnectionConfig }), {
      instanceOf: InvalidParametersError
    })
    t.true(err.message.startsWith(`expected ${message}`), err.message)
  }
})
