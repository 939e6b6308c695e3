/** The order and the number of notifications, of connections over TCP and of added ones. */
import test, { type ExecutionContext } from 'ava'
import type { Connection } from '../../ts/connection.ts'
import type { Stream } from '../../ts/stream.ts'
import type { Notifiee } from '../../ts/swarm/notifiee.ts'
import type { Swarm } from '../../ts/swarm.ts'
import { Hearing } from '../support/hearing.ts'
import { memoryConns } from '../support/memory-muxer.ts'
import { createNode, turns, until } from '../support/pair.ts'
import { type Random, seeded } from '../support/random.ts'
import { usageOf } from '../support/scopes.ts'

/** Connects two swarms; resolves to the connection of the first. */
type Connect = (dialer: Swarm, listener: Swarm) => Promise<Connection>

const KINDS: Readonly<Record<string, Connect>> = {
  'over TCP': (dialer, listener) =>
    dialer.dialPeer(listener.peerId, { addresses: listener.getListenAddrs(), force: true }),
  added: async (dialer, listener) => {
    const { near, far } = memoryConns(listener.peerId, dialer.peerId)
    listener.addConnection(far, 'inbound')
    return dialer.addConnection(near, 'outbound')
  }
}

async function createTwo(t: ExecutionContext): Promise<[dialer: Swarm, listener: Swarm]> {
  const options = { logger: new Hearing().logger, limits: 'unlimited' } as const
  const swarms = [await createNode(t, options), await createNode(t, options)] as const
  await swarms[1].listen('/ip4/127.0.0.1/tcp/0')
  return [...swarms]
}

/** Checks the order of the events of one swarm, as they come. */
class Order implements Notifiee {
  /** What was out of order: an error of a callback would only be logged. */
  readonly faults = new Set<string>()
  readonly counts = { connected: 0, disconnected: 0, opened: 0, closed: 0, handled: 0 }
  /** Open streams of open connections. */
  readonly #open = new Map<Connection, Set<string>>()
  readonly #ended = new Set<string>()

  connected(_: Swarm, connection: Connection): void {
    const { id } = connection
    this.#check(!this.#open.has(connection) && !this.#ended.has(id), 'connected twice')
    this.#open.set(connection, new Set())
    this.counts.connected += 1
  }

  disconnected(_: Swarm, connection: Connection): void {
    this.#check(this.#open.get(connection)?.size === 0, 'disconnected before its streams, or twice')
    this.#open.delete(connection)
    this.#ended.add(connection.id)
    this.counts.disconnected += 1
  }

  openedStream(_: Swarm, { id, connection }: Stream): void {
    const streams = this.#open.get(connection)
    this.#check(streams !== undefined, 'opened before its connection, or after it')
    this.#check(streams?.has(id) === false && !this.#ended.has(id), 'opened twice')
    streams?.add(id)
    this.counts.opened += 1
  }

  closedStream(_: Swarm, { id, connection }: Stream): void {
    this.#check(this.#open.get(connection)?.delete(id), 'closed before it was opened, or twice')
    this.#ended.add(id)
    this.counts.closed += 1
  }

  /** Called by the handler of inbound streams. */
  handled({ id, connection }: Stream): void {
    this.#check(this.#open.get(connection)?.has(id), 'handed out before it was opened')
    this.counts.handled += 1
  }

  #check(condition: boolean | undefined, fault: string): void {
    if (condition !== true) this.faults.add(fault)
  }
}

/** Ends a stream in one of several ways. */
async function end(stream: Stream, way: number): Promise<void> {
  if (way === 0) await stream.reset(way)
  else if (way === 1) await stream.close()
  else if (way === 2) stream.remove()
  else if (way === 3) stream.abort(new Error('enough'))
  else await Promise.all([stream.closeRead(), stream.closeWrite()])
}

/** Opens and ends streams and connections at random, until `total` streams were opened. */
async function churn(
  [dialer, listener]: [Swarm, Swarm],
  connect: Connect,
  total: number,
  next: Random,
  { order, protocol }: { order: Order; protocol: string | undefined }
): Promise<void> {
  const streams: Stream[] = []
  const connections: Connection[] = []
  const calls = new Set<Promise<unknown>>()
  // What ends meanwhile rejects; the notifications are what is tested.
  const run = (call: Promise<unknown>): void => {
    const settled = call.catch(() => {}).finally(() => calls.delete(settled))
    calls.add(settled)
  }
  const handler = (stream: Stream): void => {
    order.handled(stream)
    if (next(2) === 0) run(end(stream, next(5)))
    else streams.push(stream)
  }
  if (protocol === undefined) listener.setStreamHandler(handler)
  else listener.handle(protocol, handler)
  let opened = 0
  while (opened < total) {
    const choice = next(100)
    if (connections.length === 0 || (choice < 1 && connections.length < 6)) {
      connections.push(await connect(dialer, listener))
    } else if (choice < 2) {
      const [connection] = connections.splice(next(connections.length), 1)
      const both = [connection, ...listener.getConnections()].filter((one) => one !== undefined)
      const ending = both[next(both.length)] as Connection
      run(next(2) === 0 ? ending.close() : ending.closeWithError(next(3)))
    } else if (choice < 55) {
      const connection = connections[next(connections.length)] as Connection
      opened += 1
      run(connection.newStream(protocol).then((stream) => streams.push(stream)))
    } else if (streams.length > 0) {
      const [stream] = streams.splice(next(streams.length), 1)
      run(end(stream as Stream, next(5)))
    }
    if (next(20) === 0) await turns(1)
    if (calls.size > 500) await Promise.all(calls)
    for (const [at, { isClosed }] of connections.entries()) if (isClosed) connections.splice(at, 1)
  }
  await Promise.all(calls)
}

const CHURNS = [
  { kind: 'over TCP', total: 7_000, protocol: undefined },
  { kind: 'over TCP', total: 3_000, protocol: '/churn/1' },
  { kind: 'added', total: 3_000, protocol: undefined },
  { kind: 'added', total: 2_000, protocol: '/churn/1' }
]

for (const [kind, connect] of Object.entries(KINDS)) {
  // L1, L6, go 76
  test(`a stream opened in a connected callback is told to nobody before the connection: ${kind}`, async (t) => {
    const [dialer, listener] = await createTwo(t)
    listener.setStreamHandler(() => {})
    const events: string[] = []
    dialer.notify({ connected: (_, connection) => void connection.newStream() })
    dialer.notify({
      connected: () => events.push('connected'),
      openedStream: () => events.push('opened')
    })
    dialer.addEventListener('connected', () => events.push('event connected'))
    dialer.addEventListener('openedStream', () => events.push('event opened'))
    const connection = await connect(dialer, listener)
    await until(() => connection.streams.length === 1)
    t.deepEqual(events, ['connected', 'event connected', 'opened', 'event opened'])
  })

  test(`a stream opened by a listener of connectedness is told to nobody before the connection: ${kind}`, async (t) => {
    const [dialer, listener] = await createTwo(t)
    listener.setStreamHandler(() => {})
    const events: string[] = []
    dialer.addEventListener('connectedness', ({ detail }) => {
      events.push('connectedness')
      const [listed] = dialer.getConnections(detail.peer)
      void listed?.newStream()
    })
    dialer.notify({
      connected: () => events.push('connected'),
      openedStream: () => events.push('opened')
    })
    const connection = await connect(dialer, listener)
    await until(() => connection.streams.length === 1)
    t.deepEqual(events, ['connectedness', 'connected', 'opened'])
  })

  // L4, L5
  test(`notifiees that throw, reject or never settle delay none of 200 others: ${kind}`, async (t) => {
    const [dialer, listener] = await createTwo(t)
    listener.setStreamHandler(() => {})
    const counts = Array.from({ length: 200 }, () => ({ connected: 0, opened: 0, closed: 0 }))
    for (const [at, count] of counts.entries()) {
      const misbehave = (): unknown => {
        if (at % 40 === 0) throw new Error('thrown')
        if (at % 40 === 1) return Promise.reject(new Error('rejected'))
        return at % 40 === 2 ? new Promise(() => {}) : undefined
      }
      const counting = (name: keyof typeof count) => (): unknown => {
        count[name] += 1
        return misbehave()
      }
      dialer.notify({
        connected: counting('connected'),
        openedStream: counting('opened'),
        closedStream: counting('closed')
      })
    }
    const connection = await connect(dialer, listener)
    const total = (name: 'connected' | 'opened' | 'closed'): number =>
      counts.filter((count) => count[name] === 1).length
    t.is(total('connected'), 200)
    const stream = await connection.newStream()
    t.is(total('opened'), 200)
    await stream.reset()
    await until(() => connection.streams.length === 0)
    t.is(total('closed'), 200)
  })
}

for (const { kind, total, protocol } of CHURNS) {
  const streams = protocol === undefined ? 'raw' : 'negotiated'
  // L3, L6, L7, C6, go 81
  test(`every connection and stream is announced once, and its end once, in order: ${kind}, ${streams}`, async (t) => {
    const connect = KINDS[kind] as Connect
    const seed = Number(process.env.SEED ?? Date.now() % 1_000_000)
    t.log(`SEED=${seed}`)
    const swarms = await createTwo(t)
    const [near, far] = [new Order(), new Order()]
    swarms[0].notify(near)
    swarms[1].notify(far)
    await churn(swarms, connect, total, seeded(seed), { order: far, protocol })
    for (const swarm of swarms) await swarm.close({ drainTimeout: 0 })
    for (const swarm of swarms) {
      const { connections, streams, memory } = usageOf(swarm, 'system')
      t.deepEqual({ connections, streams, memory }, { connections: 0, streams: 0, memory: 0 })
    }
    for (const { counts, faults } of [near, far]) {
      t.deepEqual([...faults], [])
      t.true(counts.opened > 1_000)
      t.is(counts.opened, counts.closed)
      t.is(counts.connected, counts.disconnected)
    }
    t.is(far.counts.handled, far.counts.opened)
  })
}
