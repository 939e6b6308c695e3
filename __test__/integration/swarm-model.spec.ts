/**
 * Random interleavings of calls against a model of their results: listens and unlistens take effect in the order
 * of their calls, a dial fails by its own signal and timeout only, and no connection is leaked.
 */
import assert from 'node:assert/strict'
import test from 'ava'
import fc from 'fast-check'
import type { Connection } from '../../ts/connection.ts'
import { Connectedness } from '../../ts/constants.ts'
import { AbortError, StateError, TimeoutError } from '../../ts/errors.ts'
import type { Swarm } from '../../ts/swarm.ts'
import { createNode, until } from '../support/pair.ts'
import { accepts } from '../support/sockets.ts'

/** Addresses that a run listens on, referenced by index, so that each has one listener at most. */
const ADDRESSES = ['/ip4/127.0.0.1/tcp/0', '/ip4/127.0.0.2/tcp/0', '/ip6/::1/tcp/0']

type Step =
  | { readonly call: 'listen'; readonly which: number }
  | { readonly call: 'unlisten'; readonly which: number; readonly asBound: boolean }
  | { readonly call: 'dial'; readonly kind: DialKind; readonly abortIn: number | undefined }
  | { readonly call: 'closePeer' }
  | { readonly call: 'close' }
  | { readonly call: 'wait'; readonly turns: number }

type DialKind = 'peer' | 'address' | 'forced' | 'hurried' | 'noise'

const which = fc.nat(ADDRESSES.length - 1)
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    { weight: 3, arbitrary: fc.record({ call: fc.constant('listen' as const), which }) },
    {
      weight: 3,
      arbitrary: fc.record({
        call: fc.constant('unlisten' as const),
        which,
        asBound: fc.boolean()
      })
    },
    {
      weight: 6,
      arbitrary: fc.record({
        call: fc.constant('dial' as const),
        kind: fc.constantFrom<DialKind>('peer', 'address', 'forced', 'hurried', 'noise'),
        abortIn: fc.option(fc.nat(8), { nil: undefined })
      })
    },
    { weight: 2, arbitrary: fc.record({ call: fc.constant('closePeer' as const) }) },
    {
      weight: 4,
      arbitrary: fc.record({ call: fc.constant('wait' as const), turns: fc.nat(6) })
    }
  ),
  { maxLength: 25 }
)
/** The steps of a run, and whether the swarm is closed during its last calls. */
const runs = fc.tuple(steps, fc.boolean())

const turns = async (count: number): Promise<void> => {
  for (let turn = 0; turn < count; turn += 1) await new Promise((resolve) => setImmediate(resolve))
}

/** One swarm under test, the peer that it dials, and the state of the model. */
class Run {
  readonly #swarm: Swarm
  readonly #target: Swarm
  readonly #listening = new Set<number>()
  readonly #reports: string[] = []
  readonly #calls: Promise<void>[] = []
  readonly #held = new Set<Connection>()
  #pending = 0
  #isClosed = false

  constructor(swarm: Swarm, target: Swarm) {
    this.#swarm = swarm
    this.#target = target
    swarm.addEventListener('listen', ({ detail }) => this.#reports.push(`+${detail}`))
    swarm.addEventListener('listenClose', ({ detail }) => this.#reports.push(`-${detail}`))
    swarm.addEventListener('disconnected', ({ detail }) => this.#held.delete(detail))
  }

  async take(step: Step): Promise<void> {
    switch (step.call) {
      case 'listen':
        this.#expect(this.#swarm.listen(ADDRESSES[step.which] as string), true)
        this.#listening.add(step.which)
        return
      case 'unlisten':
        this.#expect(this.#swarm.unlisten(this.#nameOf(step)), this.#listening.delete(step.which))
        return
      case 'dial':
        this.#dial(step.kind, step.abortIn)
        return
      case 'closePeer':
        this.#watch(this.#swarm.closePeer(this.#target.peerId))
        return
      case 'close':
        this.#isClosed = true
        this.#watch(this.#swarm.close({ drainTimeout: 0 }))
        return
      case 'wait':
        await turns(step.turns)
    }
  }

  /** The requested address, or the bound one where that is known. */
  #nameOf({ which, asBound }: { which: number; asBound: boolean }): string {
    const requested = ADDRESSES[which] as string
    const host = requested.slice(0, -1)
    const bound = this.#swarm.getListenAddrs().find((addr) => `${addr}`.startsWith(host))
    // While an earlier call is pending, the bound address may not be that of the next listener.
    return asBound && bound !== undefined && this.#pending === 0 ? `${bound}` : requested
  }

  #expect(call: Promise<boolean>, answer: boolean): void {
    this.#watch(
      call.then(
        (answered) => assert.equal(answered, answer),
        (err) => assert(this.#isClosed && err instanceof StateError, `${err?.stack}`)
      )
    )
  }

  #watch(call: Promise<void>): void {
    this.#pending += 1
    this.#calls.push(call.finally(() => (this.#pending -= 1)))
  }

  #dial(kind: DialKind, abortIn: number | undefined): void {
    const controller = new AbortController()
    const options = {
      addresses: this.#target.getListenAddrs(),
      signal: controller.signal,
      ...(kind === 'forced' ? { force: true } : {}),
      ...(kind === 'hurried' ? { timeout: 1 } : {}),
      ...(kind === 'noise' ? { security: ['noise'] as const } : {})
    }
    const call =
      kind === 'address'
        ? this.#swarm.dialAddr(options.addresses[0] as never, this.#target.peerId, options)
        : this.#swarm.dialPeer(this.#target.peerId, options)
    if (abortIn === 0) controller.abort()
    else if (abortIn !== undefined) void turns(abortIn).then(() => controller.abort())
    this.#watch(
      call.then(
        (connection) => {
          if (connection.closeReason === undefined) this.#held.add(connection)
          if (kind === 'noise') assert.equal(connection.state.security, '/noise')
        },
        (err) => {
          const expected =
            (err instanceof AbortError && controller.signal.aborted) ||
            (err instanceof TimeoutError && kind === 'hurried') ||
            (err instanceof StateError && this.#isClosed)
          assert(expected, `${kind}: ${err?.stack}`)
        }
      )
    )
  }

  /** Asserts that all views agree, whatever is pending. */
  agree(): void {
    const { peerId } = this.#target
    const connections = this.#swarm.getConnections()
    const isConnected = this.#swarm.connectedness(peerId) === Connectedness.Connected
    assert.deepEqual(this.#swarm.getConnections(peerId), connections)
    assert.equal(this.#swarm.getTotalConnections(), connections.length)
    assert.equal(this.#swarm.getPeers().length, connections.length > 0 ? 1 : 0)
    assert.equal(this.#swarm.getConnection(peerId) !== undefined, connections.length > 0)
    assert.equal(isConnected, connections.length > 0)
    assert(connections.every((connection) => !connection.isClosed))
  }

  /** Lets every call end, and compares the result with the model. */
  async finish(): Promise<void> {
    const outcomes = await Promise.allSettled(this.#calls)
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
    const bound = this.#swarm.getListenAddrs().map(String)
    const hosts = [...this.#listening].map((which) => (ADDRESSES[which] as string).slice(0, -1))
    const left = this.#isClosed ? [] : hosts
    assert.deepEqual(bound.map((addr) => addr.replace(/\d+$/, '')).sort(), left.sort())
    assert.deepEqual(openOf(this.#reports), [...bound].sort())
    for (const addr of bound) assert(await accepts(addr), addr)
    await until(
      () =>
        this.#swarm.getTotalConnections() === this.#held.size &&
        this.#target.getTotalConnections() === this.#held.size
    )
    assert.deepEqual(new Set(this.#swarm.getConnections()), this.#held)
    await this.#swarm.close({ drainTimeout: 0 })
    assert.deepEqual(openOf(this.#reports), [])
    await until(() => this.#target.getTotalConnections() === 0)
  }
}

/** Addresses reported as listened on and not as closed; throws unless the reports of each alternate. */
function openOf(reports: readonly string[]): string[] {
  const open = new Set<string>()
  for (const event of reports) {
    const addr = event.slice(1)
    if (event[0] === '+' ? open.has(addr) : !open.has(addr)) throw new Error(`repeated: ${event}`)
    if (event[0] === '+') open.add(addr)
    else open.delete(addr)
  }
  return [...open].sort()
}

test('random interleavings of listen, unlisten, dial, abort and close have the results of the model', async (t) => {
  const connections = { maxPerPeer: Infinity }
  await fc.assert(
    fc.asyncProperty(runs, async ([taken, closes]) => {
      // Both are new: what one run leaves behind must not fail those that shrink it.
      const target = await createNode(t, { security: ['tls', 'noise'], connections })
      await target.listen('/ip4/127.0.0.1/tcp/0')
      const run = new Run(await createNode(t, { connections }), target)
      for (const step of taken) {
        await run.take(step)
        run.agree()
      }
      if (closes) await run.take({ call: 'close' })
      await run.finish()
      await target.close({ drainTimeout: 0 })
    }),
    { numRuns: 60, includeErrorInReport: true }
  )
  t.pass()
})
