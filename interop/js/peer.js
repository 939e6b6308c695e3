// js-libp2p as a foreign peer of ferroswarm; see ../contract.md.

import { parseArgs } from 'node:util'
import { printLine, serveCommands } from './measure.js'
import { createNode, listenMultiaddr, trustRoots } from './node.js'
import { dial, serve } from './server.js'
import { runWorkload } from './workloads.js'

const DEFAULTS = {
  stack: 'tcp-noise-yamux',
  listen: '127.0.0.1:0',
  n: '1',
  bytes: '1024',
  concurrency: '1',
  rate: '1000',
  seconds: '1',
  'warm-up': '0'
}

/** Options without a default. */
const TEXTS = ['addr', 'workload', 'components', 'cert', 'key', 'ca', 'psk']

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: Object.fromEntries(
    [...TEXTS, ...Object.keys(DEFAULTS)].map((name) => [
      name,
      { type: 'string', default: DEFAULTS[name] }
    ])
  )
})

const options = {
  ...values,
  mode: positionals[0],
  n: count('n'),
  bytes: count('bytes'),
  concurrency: count('concurrency'),
  rate: count('rate'),
  seconds: Number(values.seconds),
  warmUp: count('warm-up')
}

try {
  if (options.ca !== undefined) await trustRoots(options.ca)
  switch (options.mode) {
    case 'server':
      await runServer()
      break
    case 'client':
      await runWorkload(options)
      break
    default:
      throw new Error('expected a mode: server or client')
  }
  process.exit(0)
} catch (error) {
  // A WebSocket that does not open rejects with its event.
  printLine({ error: `${error.name ?? error.constructor.name}: ${error.message}` })
  process.exit(1)
}

async function runServer() {
  const node = await createNode(options, listenMultiaddr(options))
  await serve(node)
  printLine({ addr: node.getMultiaddrs()[0].toString() })
  await serveCommands((addr) => dial(node, addr))
}

function count(name) {
  const value = Number(values[name])
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new RangeError(`--${name}: expected a whole number, received ${values[name]}`)
  }
  return value
}
