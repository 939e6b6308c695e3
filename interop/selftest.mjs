// Runs every client against every server over both stacks, to prove the contract; see contract.md.
//
//     node interop/selftest.mjs [go rust js py]

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { peerCommand } from './build.mjs'

const STACKS = ['tcp-noise-yamux', 'tcp-tls-yamux']
const RUN_TIMEOUT_MS = 60_000
const RATE = ['ops', 'bytes', 'seconds', 'cpu_user_s', 'cpu_sys_s', 'rss_kb']
const LATENCY = ['p50_us', 'p99_us']

/** [workload, arguments, what its line must hold]. */
const RUNS = [
  ['upload', { bytes: 4_000_000 }, { numbers: [...RATE, 'MBps'] }],
  ['download', { bytes: 4_000_000 }, { numbers: [...RATE, 'MBps'] }],
  ['ping', { n: 50 }, { numbers: [...RATE, 'perSec', ...LATENCY] }],
  ['rr-seq', { n: 30, bytes: 1024 }, { numbers: [...RATE, 'perSec', ...LATENCY] }],
  ['rr-32', { n: 200, bytes: 1024 }, { numbers: [...RATE, 'perSec', ...LATENCY] }],
  ['rr-100', { n: 400, bytes: 0 }, { numbers: [...RATE, 'perSec', ...LATENCY] }],
  ['msgs', { n: 5000, bytes: 100 }, { numbers: [...RATE, 'perSec'] }],
  ['handshake-seq', { n: 10 }, { numbers: [...RATE, 'perSec', ...LATENCY] }],
  ['handshake-16', { n: 48 }, { numbers: [...RATE, 'perSec', ...LATENCY] }],
  ['idle', { n: 20, concurrency: 8 }, { phases: ['base', 'full'] }],
  ['echo', { bytes: 3_000_000, concurrency: 4 }, { numbers: [...RATE, 'MBps'] }],
  ['half-close', { bytes: 262_144 }, { numbers: ['ops', 'bytes'] }],
  ['reset', {}, { errorCode: { go: { go: 42, js: 0, py: 0 } } }],
  ['identify', {}, { identify: true }]
]
/** Pairs that cannot connect over TLS, by their own doing; see contract.md. */
const STRANGERS = ['js > py', 'py > js']
const RESULT_COLUMN = 10

const wanted = process.argv.slice(2)
const commands = {}
for (const name of wanted.length > 0 ? wanted : ['go', 'rust', 'js', 'py']) {
  const { command, missing } = await peerCommand(name)
  if (command === undefined) {
    console.log(`${name}: ${missing}`)
    process.exitCode = 1
  } else {
    commands[name] = command
  }
}

const failures = []
console.log(
  [
    'client > server'.padEnd(32),
    ...RUNS.map(([workload]) => workload.slice(0, RESULT_COLUMN - 1).padEnd(RESULT_COLUMN))
  ].join('')
)
for (const stack of STACKS) {
  for (const server of Object.keys(commands)) {
    for (const client of Object.keys(commands)) {
      await testPair(stack, client, server)
    }
  }
}
for (const failure of failures) {
  console.log(failure)
}
console.log(
  `${failures.length === 0 ? 'every pair keeps' : `${failures.length} runs break`} the contract`
)
process.exitCode ||= failures.length === 0 ? 0 : 1

async function testPair(stack, client, server) {
  const running = await startServer(commands[server], stack)
  process.stdout.write(`${client} > ${server} ${stack}`.padEnd(32))
  if (stack === 'tcp-tls-yamux' && STRANGERS.includes(`${client} > ${server}`)) {
    await testStrangers(stack, client, server, running.addr)
  } else {
    await testRuns(stack, client, server, running.addr)
  }
  process.stdout.write('\n')
  const problem = await running.stop()
  if (problem !== undefined) {
    failures.push(`${server} server ${stack}: ${problem}`)
  }
}

/** That they do not connect is asserted too: once they do, the list is out of date. */
async function testStrangers(stack, client, server, addr) {
  try {
    await runClient(commands[client], stack, addr, 'ping', { n: 1 })
    failures.push(
      `${client} > ${server} ${stack}: they connect, and STRANGERS says that they cannot`
    )
  } catch {
    process.stdout.write('cannot connect, as known')
  }
}

async function testRuns(stack, client, server, addr) {
  for (const [workload, args, expected] of RUNS) {
    const start = performance.now()
    let problem
    try {
      problem = check(
        await runClient(commands[client], stack, addr, workload, args),
        expected,
        args,
        client,
        server
      )
    } catch (error) {
      problem = error.message
    }
    if (problem !== undefined) {
      failures.push(`${client} > ${server} ${stack} ${workload}: ${problem}`)
    }
    process.stdout.write(
      (problem === undefined ? `${Math.round(performance.now() - start)} ms` : 'FAILED').padEnd(
        RESULT_COLUMN
      )
    )
  }
}

async function startServer(command, stack) {
  const child = spawn(
    command[0],
    [...command.slice(1), 'server', '--stack', stack, '--listen', '127.0.0.1:0'],
    {
      stdio: ['pipe', 'pipe', 'inherit']
    }
  )
  const exited = once(child, 'exit')
  const [line] = await Promise.race([
    once(createInterface({ input: child.stdout }), 'line'),
    exited.then(([code]) => {
      throw new Error(`server ended with exit code ${code} before it listened`)
    })
  ])
  return {
    addr: JSON.parse(line).addr,
    async stop() {
      child.stdin.end()
      const timer = setTimeout(() => child.kill('SIGKILL'), RUN_TIMEOUT_MS)
      const [code, signal] = await exited
      clearTimeout(timer)
      return code === 0
        ? undefined
        : `ended with ${signal ?? `exit code ${code}`} after its standard input`
    }
  }
}

/** The lines that a client printed. `idle` gets the input it waits for. */
async function runClient(command, stack, addr, workload, args) {
  const flags = Object.entries(args).flatMap(([name, value]) => [`--${name}`, String(value)])
  const child = spawn(
    command[0],
    [
      ...command.slice(1),
      'client',
      '--stack',
      stack,
      '--addr',
      addr,
      '--workload',
      workload,
      ...flags
    ],
    {
      stdio: ['pipe', 'pipe', 'inherit']
    }
  )
  const timer = setTimeout(() => child.kill('SIGKILL'), RUN_TIMEOUT_MS)
  child.stdin.on('error', () => {}) // Only `idle` reads.
  const lines = []
  createInterface({ input: child.stdout }).on('line', (line) => {
    lines.push(JSON.parse(line))
    child.stdin.write('\n')
  })
  const [code, signal] = await once(child, 'close')
  clearTimeout(timer)
  if (lines[0]?.error !== undefined) {
    throw new Error(lines[0].error)
  }
  if (code !== 0) {
    throw new Error(`ended with ${signal ?? `exit code ${code}`}`)
  }
  return lines
}

/** What is wrong with a client's lines, if anything is. */
function check(lines, expected, args, client, server) {
  if (expected.phases !== undefined) {
    const phases = lines.map((line) => line.phase)
    const measured = lines.every((line) => line.rss_kb > 0)
    return String(phases) === String(expected.phases) && measured
      ? undefined
      : `printed ${JSON.stringify(lines)}`
  }
  const [line, ...rest] = lines
  if (line === undefined || rest.length > 0) {
    return `printed ${lines.length} lines, expected 1`
  }
  for (const name of expected.numbers ?? []) {
    if (!Number.isFinite(line[name]) || line[name] < 0) {
      return `${name} is ${line[name]}, expected a number`
    }
  }
  if (expected.numbers?.includes('seconds') && line.ops !== (args.n ?? args.concurrency ?? 1)) {
    return `ops is ${line.ops}`
  }
  if (expected.errorCode !== undefined) {
    const code = expected.errorCode[client]?.[server] ?? null
    return line.errorCode === code ? undefined : `errorCode is ${line.errorCode}, expected ${code}`
  }
  return expected.identify === true ? checkIdentify(line, server) : undefined
}

function checkIdentify(line, server) {
  if (!line.agentVersion?.startsWith(`${server}-libp2p/`)) {
    return `agentVersion is ${line.agentVersion}`
  }
  if (line.protocolVersion !== 'ipfs/0.1.0') {
    return `protocolVersion is ${line.protocolVersion}`
  }
  if (
    !line.protocols?.includes('/ipfs/ping/1.0.0') ||
    !line.protocols.includes('/bench/echo/1.0.0')
  ) {
    return `protocols are ${line.protocols}`
  }
  if (line.listenAddrs?.length !== 1 || !line.observedAddr?.startsWith('/ip4/127.0.0.1/tcp/')) {
    return `listenAddrs are ${line.listenAddrs}, observedAddr is ${line.observedAddr}`
  }
  return undefined
}
