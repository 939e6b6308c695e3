/** Diagnostics of background events reach their subscribers, and cost nothing without any. */

import { channel, tracingChannel } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import test, { type ExecutionContext } from 'ava'
import type {
  ConnectionMessage,
  HandlerOperation,
  RefusedMessage,
  UpgradeOperation
} from '../../ts/diagnostics/channels.ts'
import type { Diagnostic } from '../../ts/diagnostics/report.ts'
import type { SwarmOptions } from '../../ts/swarm/options.ts'
import type { Swarm } from '../../ts/swarm.ts'
import { createNode, createPair } from '../support/pair.ts'

/** A TCP client connected to `swarm`. */
async function client(t: ExecutionContext, swarm: Swarm): Promise<Socket> {
  const [address] = swarm.getListenAddrs()
  const port = Number(/\/tcp\/(\d+)/.exec(String(address))?.[1])
  const socket = connect(port, '127.0.0.1')
  t.teardown(() => socket.destroy())
  socket.on('error', () => {})
  socket.resume()
  await once(socket, 'connect')
  return socket
}

/** A listening swarm, and the first fact called `name` that it logs. */
async function listenFor(
  t: ExecutionContext,
  name: string,
  options: SwarmOptions = {}
): Promise<{ swarm: Swarm; fact: Promise<Diagnostic> }> {
  const { promise: fact, resolve } = Promise.withResolvers<Diagnostic>()
  const record = (_: string, diagnostic?: unknown): void => {
    if ((diagnostic as Diagnostic | undefined)?.name === name) resolve(diagnostic as Diagnostic)
  }
  const logger = { debug: record, info: record, warn: record, error: record }
  const swarm = await createNode(t, { logger, ...options })
  await swarm.listen('/ip4/127.0.0.1/tcp/0')
  return { swarm, fact }
}

test.serial('a failed inbound upgrade is reported with its stage and cause', async (t) => {
  const { swarm, fact } = await listenFor(t, 'upgradeFailed')
  const socket = await client(t, swarm)
  // Asked before the refusal: a closed socket knows no port.
  const port = socket.localPort
  socket.write('GET / HTTP/1.1\r\n\r\n')
  const { level, details, cause, address, connection } = await fact
  t.is(level, 'info')
  t.is(details.stage, 'security')
  t.regex(cause, /multistream-select/)
  t.is(address, `/ip4/127.0.0.1/tcp/${port}`)
  t.is(connection, undefined)
})

test.serial('a remote that leaves during the upgrade is reported at debug', async (t) => {
  const { swarm, fact } = await listenFor(t, 'upgradeAbandoned')
  const socket = await client(t, swarm)
  socket.end()
  t.is((await fact).level, 'debug')
})

test.serial(
  'an upgrade that times out is reported with the stage that it had reached',
  async (t) => {
    const { swarm, fact } = await listenFor(t, 'upgradeFailed', {
      connections: { inboundUpgradeTimeout: 50 }
    })
    await client(t, swarm)
    const { cause, details } = await fact
    t.is(cause, 'timed out')
    t.is(details.stage, 'security')
  }
)

test.serial('a refused connection is reported with the limit that refused it', async (t) => {
  const refused = channel('ferroswarm:connection:refused')
  const messages: RefusedMessage[] = []
  const record = (message: unknown): void => void messages.push(message as RefusedMessage)
  refused.subscribe(record)
  t.teardown(() => refused.unsubscribe(record))
  const limits = { transient: { connectionsInbound: 1 } }
  const { swarm, fact } = await listenFor(t, 'connectionRefused', { limits })
  await client(t, swarm)
  const second = await client(t, swarm)
  const address = `/ip4/127.0.0.1/tcp/${second.localPort}`
  const { details, cause } = await fact
  const option = 'limits.transient.connectionsInbound'
  const figures = { scope: 'transient', resource: 'connectionsInbound', limit: 1, current: 1 }
  t.is(cause, option)
  t.deepEqual(details, figures)
  t.deepEqual(messages, [{ swarm, address, option, ...figures }])
})

test.serial(
  'a flood of refusals without any subscriber causes no record and no wake',
  async (t) => {
    const swarm = await createNode(t, { limits: { transient: { connectionsInbound: 1 } } })
    await swarm.listen('/ip4/127.0.0.1/tcp/0')
    await client(t, swarm)
    const before = swarm.counters()
    for (let count = 0; count < 50; count += 1) {
      const socket = await client(t, swarm)
      if (!socket.closed) await once(socket, 'close')
    }
    const after = swarm.counters()
    t.is(after.admissionsRefused - before.admissionsRefused, 50)
    t.is(after.records, before.records)
    t.is(after.rings, before.rings)
    t.is(after.diagnosticsDropped, 0)
  }
)

test.serial('a connection has one message for its opening and its end', async (t) => {
  const messages: ConnectionMessage[] = []
  const record = (message: unknown): void => void messages.push(message as ConnectionMessage)
  for (const name of ['ferroswarm:connection:open', 'ferroswarm:connection:close']) {
    channel(name).subscribe(record)
    t.teardown(() => channel(name).unsubscribe(record))
  }
  const { outbound } = await createPair(t)
  await outbound.close()
  const own = messages.filter(({ connection }) => connection === outbound)
  t.is(own.length, 2)
  t.is(own[0], own[1])
  t.is(own[1]?.reason, outbound.closeReason)
})

test.serial('an operation is traced from its start to its end with one object', async (t) => {
  const events: [string, object][] = []
  for (const name of ['dial', 'upgrade', 'stream:open', 'handler']) {
    const record = (event: string) => (operation: unknown) =>
      void events.push([`${name} ${event}`, operation as object])
    const subscribers = {
      start: record('start'),
      end: record('end'),
      asyncStart: record('asyncStart'),
      asyncEnd: record('asyncEnd'),
      error: record('error')
    }
    tracingChannel(`ferroswarm:${name}`).subscribe(subscribers)
    t.teardown(() => void tracingChannel(`ferroswarm:${name}`).unsubscribe(subscribers))
  }
  const { dialer, listener, outbound } = await createPair(t)
  const failure = new Error('the handler fails')
  listener.handle('/failing', () => Promise.reject(failure))
  const stream = await outbound.newStream('/failing')
  await t.throwsAsync(stream.read())
  const found = (name: string) => events.filter(([event]) => event === name).map(([, of]) => of)
  const [dial] = found('dial start')
  t.like(dial, { swarm: dialer, result: outbound })
  t.true(found('dial asyncEnd').includes(dial as object))
  t.is(
    (found('upgrade asyncEnd') as UpgradeOperation[]).filter(({ result }) => result !== undefined)
      .length,
    2
  )
  const [open] = found('stream:open asyncEnd')
  t.deepEqual((open as { protocols: string[] }).protocols, ['/failing'])
  const [handled] = found('handler error') as HandlerOperation[]
  t.is(handled?.error, failure)
  t.is(handled?.protocol, '/failing')
  t.true(found('handler start').includes(handled as object))
})
