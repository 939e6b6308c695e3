/** Points of the rates of inbound connections, which the application takes too. */
import test, { type ExecutionContext } from 'ava'
import { InvalidParametersError, RateLimitError, StateError, Swarm } from '../../ts/index.ts'
import { portOf } from '../support/echo.ts'
import { createNode, until } from '../support/pair.ts'
import { isAnswered } from '../support/raw-peer.ts'

/** A rate that does not refill within a test. */
const RATES = [{ family: 4, prefix: 32, perSecond: 0.001, burst: 4 }] as const

function left(t: ExecutionContext, swarm: Swarm, key: string, points: number): RateLimitError {
  return t.throws(() => swarm.inboundRateLimiter.consume(key, points), {
    instanceOf: RateLimitError
  }) as RateLimitError
}

test('points of the application and connections come from the same buckets', async (t) => {
  const swarm = await createNode(t, { limits: { rates: RATES, loopbackExempt: false } })
  await swarm.listen('/ip4/127.0.0.1/tcp/0')
  const port = portOf(swarm)
  swarm.inboundRateLimiter.consume('127.0.0.7', 2)
  t.true(await isAnswered(t, port, '127.0.0.7'))
  t.like(left(t, swarm, '/ip4/127.0.0.7/tcp/1', 2), {
    consumedPoints: 3,
    remainingPoints: 1,
    requested: 2,
    resource: 'connectionsPerSecond',
    option: 'limits.rates'
  })
  t.true(await isAnswered(t, port, '127.0.0.7'))
  t.false(await isAnswered(t, port, '127.0.0.7'))
  // Another host has a bucket of its own.
  swarm.inboundRateLimiter.consume('127.0.0.8', 4)
  swarm.inboundRateLimiter.reset('127.0.0.7')
  t.true(await isAnswered(t, port, '127.0.0.7'))
  t.like(left(t, swarm, '127.0.0.8', 1), { consumedPoints: 4, remainingPoints: 0 })
  swarm.inboundRateLimiter.reset()
  swarm.inboundRateLimiter.consume('127.0.0.8', 4)
  await until(() => swarm.resourceManager.stat().system.numConnsInbound === 0)
})

test('loopback, trusted sources and the allowlist are exempt', async (t) => {
  const limits = {
    rates: RATES,
    trustedSources: ['192.0.2.0/28'],
    allowlist: ['192.0.2.64/28']
  }
  const { inboundRateLimiter: limiter } = await createNode(t, { limits })
  for (const host of ['127.0.0.1', '::1', '192.0.2.3', '192.0.2.70']) {
    t.notThrows(() => limiter.consume(host, 1_000), host)
  }
  t.throws(() => limiter.consume('192.0.2.20', 5), { instanceOf: RateLimitError })
})

test('invalid keys and points are refused, and so are calls before the start', async (t) => {
  const swarm = await createNode(t)
  const { inboundRateLimiter: limiter } = swarm
  for (const key of ['nonsense', '/dns4/example.test/tcp/1', '', 7 as unknown as string]) {
    t.throws(() => limiter.consume(key), { instanceOf: InvalidParametersError }, String(key))
  }
  for (const points of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, '1']) {
    t.throws(() => limiter.consume('192.0.2.1', points as number), {
      instanceOf: InvalidParametersError
    })
  }
  t.throws(() => limiter.reset('nonsense'), { instanceOf: InvalidParametersError })
  t.throws(() => new Swarm().inboundRateLimiter, { instanceOf: StateError })
  t.is(limiter, swarm.inboundRateLimiter)
})
