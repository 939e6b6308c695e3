/** Test vectors of the crates, which drive the TypeScript side too. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Framing } from '../../ts/io/index.ts'
import { ROOT } from './cli.ts'

/** A byte sequence in a framing, its messages and its end. */
export interface FramingVector {
  readonly line: string
  readonly framing: Framing
  readonly limit: number
  readonly wire: Uint8Array
  readonly messages: readonly Uint8Array[]
  readonly end: 'clean' | 'missing-length' | 'missing-message' | 'too-large' | 'invalid'
}

/** Returns the lines of a vector file of `crates/proto`, in columns, without comments. */
export function vectorLines(name: string): string[][] {
  const text = readFileSync(join(ROOT, 'crates', 'proto', 'tests', 'vectors', name), 'utf8')
  return text
    .trim()
    .split('\n')
    .filter((line) => !line.startsWith('#'))
    .map((line) => line.split(' '))
}

/** Parses `framing.txt`. */
export function framingVectors(): FramingVector[] {
  return vectorLines('framing.txt').map((columns) => {
    const [framing = '', limit = '', wire = '', messages = '', end = ''] = columns
    return {
      line: columns.join(' '),
      framing: framing as Framing,
      limit: Number(limit),
      wire: hex(wire),
      messages: messages === '-' ? [] : messages.split(',').map(hex),
      end: end as FramingVector['end']
    }
  })
}

function hex(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text === '-' || text === '.' ? '' : text, 'hex'))
}
