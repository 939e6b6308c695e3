/** Stacks under a stream: every live stream test runs once per stack, except where the stack lacks an ability. */
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import type { SwarmOptions } from '../../ts/swarm/options.ts'
import { chosenEngines, createPair, type Pair } from './pair.ts'

/** An ability that not every stack has. */
export type Ability = 'reset codes'

export interface Stack {
  readonly name: string
  readonly options: SwarmOptions
  /** Where a node listens over it. */
  readonly listen: string
  /** Abilities that it lacks, and why. */
  readonly lacks: Partial<Record<Ability, string>>
}

const CRATE_LACKS: Stack['lacks'] = {
  'reset codes': 'the yamux crate does not report the code of a reset or a GoAway'
}

const TCP = '/ip4/127.0.0.1/tcp/0'

let sockets = 0

const UNIX: Stack = {
  name: 'unix',
  options: { transports: ['unix'] },
  /** Another path each time. */
  get listen() {
    sockets += 1
    const path = join(tmpdir(), `ferroswarm-${process.pid}-${sockets}.sock`)
    return `/unix/${encodeURIComponent(path)}`
  },
  lacks: {}
}

const STACKS: readonly Stack[] = [
  { name: 'noise', options: { security: ['noise'] }, listen: TCP, lacks: {} },
  { name: 'tls', options: { security: ['tls'] }, listen: TCP, lacks: {} },
  { name: 'quic', options: {}, listen: '/ip4/127.0.0.1/udp/0/quic-v1', lacks: {} },
  { name: 'ws', options: { security: ['noise'] }, listen: `${TCP}/ws`, lacks: {} },
  { name: 'memory', options: { transports: ['memory'] }, listen: '/memory/0', lacks: {} },
  ...(process.platform === 'win32' ? [] : [UNIX]),
  {
    name: 'yamux-crate',
    options: { security: ['noise'], muxers: ['yamux-crate'] },
    listen: TCP,
    lacks: CRATE_LACKS
  }
]

/** Returns the stacks of this test file: a single one if it chose its engines. */
function stacks(): readonly Stack[] {
  const engines = chosenEngines()
  if (engines === undefined) return STACKS
  const name = `${engines.dialer} to ${engines.listener}`
  return [{ name, options: { security: ['noise'] }, listen: TCP, lacks: CRATE_LACKS }]
}

/** Options of a test over all stacks. */
export interface OverStacks {
  /** Abilities that the test needs; stacks that lack one are left out. */
  readonly needs?: readonly Ability[]
  /** Runs while no other test of the file does. */
  readonly serial?: boolean
}

/** Declares a test over each stack that has the needed abilities. */
export function overStacks(
  title: string,
  body: (t: ExecutionContext, stack: Stack) => Promise<void>,
  { needs = [], serial = false }: OverStacks = {}
): void {
  const declare = serial ? test.serial : test
  for (const stack of stacks()) {
    if (needs.some((ability) => stack.lacks[ability] !== undefined)) continue
    declare(`${stack.name}: ${title}`, (t) => body(t, stack))
  }
}

/** Declares a test like {@link overStacks}, with a connected pair over the stack. */
export function overPairs(
  title: string,
  body: (t: ExecutionContext, pair: Pair, stack: Stack) => Promise<void>,
  options?: OverStacks
): void {
  overStacks(
    title,
    async (t, stack) =>
      body(t, await createPair(t, { both: stack.options, listen: stack.listen }), stack),
    options
  )
}
