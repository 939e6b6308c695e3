/** What a stream can run over: every live stream test runs once a stack, except where a stack cannot do a thing. */
import test, { type ExecutionContext } from 'ava'
import type { SwarmOptions } from '../../ts/swarm/options.ts'
import { chosenEngines, createPair, type Pair } from './pair.ts'

/** What not every stack can do. */
export type Ability = 'reset codes'

export interface Stack {
  readonly name: string
  readonly options: SwarmOptions
  /** What it cannot do, and why. */
  readonly lacks: Partial<Record<Ability, string>>
}

const CRATE_LACKS: Stack['lacks'] = {
  'reset codes': 'the yamux crate does not tell the code of a reset or a goodbye'
}

const STACKS: readonly Stack[] = [
  { name: 'noise', options: { security: ['noise'] }, lacks: {} },
  { name: 'tls', options: { security: ['tls'] }, lacks: {} },
  {
    name: 'yamux-crate',
    options: { security: ['noise'], muxers: ['yamux-crate'] },
    lacks: CRATE_LACKS
  }
]

/** Those of this file: one where it chose its engines. */
function stacks(): readonly Stack[] {
  const engines = chosenEngines()
  if (engines === undefined) return STACKS
  const name = `${engines.dialer} to ${engines.listener}`
  return [{ name, options: { security: ['noise'] }, lacks: CRATE_LACKS }]
}

/** How a test over all stacks is declared. */
export interface OverStacks {
  /** Stacks that lack one of these are left out. */
  readonly needs?: readonly Ability[]
  /** Nothing else in the file runs meanwhile. */
  readonly serial?: boolean
}

/** Declares a test over each stack that can do it. */
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

/** The same with a connected pair over the stack. */
export function overPairs(
  title: string,
  body: (t: ExecutionContext, pair: Pair, stack: Stack) => Promise<void>,
  how?: OverStacks
): void {
  overStacks(
    title,
    async (t, stack) => body(t, await createPair(t, { both: stack.options }), stack),
    how
  )
}
