// The command line of a peer in Node, and its exit code.

import { parseArgs } from 'node:util'
import { printLine } from './measure.mjs'

const DEFAULTS = { n: 1, bytes: 1_024, concurrency: 1, rate: 1_000, seconds: 1, 'warm-up': 0 }

/**
 * Runs `server(options)` or `client(options)`; prints the result line of the latter. On failure, prints `{"error"}` and
 * exits with code 1.
 */
export async function runPeer({ server, client }) {
  try {
    const { mode, options } = readOptions()
    if (mode === 'server') {
      await server(options)
    } else {
      const warmUp = options['warm-up']
      if (warmUp > 0) await client({ ...options, n: warmUp })
      const line = await client(options)
      if (line !== undefined) printLine(line)
    }
  } catch (err) {
    console.error(err)
    printLine({ error: err instanceof Error ? err.message : String(err) })
    process.exitCode = 1
  }
}

function readOptions() {
  const numbers = Object.keys(DEFAULTS)
  const names = ['stack', 'listen', 'addr', 'workload', ...numbers]
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: Object.fromEntries(names.map((name) => [name, { type: 'string' }]))
  })
  const [mode] = positionals
  if (mode !== 'server' && mode !== 'client') throw new Error('expected a mode: server or client')
  const options = { listen: '127.0.0.1:0', ...DEFAULTS, ...values }
  for (const name of numbers) options[name] = Number(options[name])
  return { mode, options }
}

/** Splits `host:port`. */
export function hostPort(text) {
  const [host, port] = text.split(/:(?=\d+$)/)
  return { host, port: Number(port) }
}
