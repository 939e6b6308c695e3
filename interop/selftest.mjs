// Runs every client against every server over every stack that both have, to verify the contract; see contract.md.
//
//     node interop/selftest.mjs [--setting S]... [ours native go rust js py net raw]

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import { commandOf } from '../bench/peers.mjs'
import { writeFiles } from './certificate.mjs'

/** What a run is made over: a stack, and the files that its server and client are given. */
const SETTINGS = {
  'tcp-noise-yamux': {},
  'tcp-tls-yamux': {},
  quic: {},
  'ws-noise-yamux': {},
  'ws-tls-yamux': {},
  'wss-noise-yamux': { server: ['cert', 'key'], client: ['ca'] },
  'tcp-noise-yamux psk': { server: ['psk'], client: ['psk'] },
  'ws-noise-yamux psk': { server: ['psk'], client: ['psk'] },
  tcp: {}
}
const STACKS = ['tcp-noise-yamux', 'tcp-tls-yamux']
const EVERY = Object.keys(SETTINGS).filter((setting) => setting !== 'tcp')
const TCP = ['tcp']
const CORRECTNESS = ['echo', 'half-close', 'reset', 'identify']
const TCP_LACKS = [
  'upload-32',
  'download-32',
  'handshake-seq',
  'handshake-16',
  'lp',
  'rounds',
  ...CORRECTNESS
]

/** The settings of each peer, the workloads it lacks, and the prefix of its agent version. */
const PEERS = {
  ours: {
    settings: [...STACKS, 'quic', 'ws-noise-yamux', 'ws-tls-yamux'],
    lacks: ['rounds'],
    agent: 'ferroswarm/'
  },
  native: {
    settings: [...STACKS, 'quic'],
    lacks: ['lp', 'rounds', ...CORRECTNESS],
    agent: 'ferroswarm/'
  },
  go: { settings: EVERY, lacks: ['lp', 'rounds'], agent: 'go-libp2p/' },
  rust: { settings: EVERY, lacks: ['lp', 'rounds'], agent: 'rust-libp2p/' },
  js: { settings: EVERY, lacks: [], agent: 'js-libp2p/' },
  py: {
    settings: [...STACKS, 'quic'],
    lacks: ['lp', 'rounds', 'upload-32', 'download-32', 'paced', 'ping-open', 'first-byte'],
    agent: 'py-libp2p/'
  },
  net: { settings: TCP, lacks: TCP_LACKS },
  raw: { settings: TCP, lacks: TCP_LACKS }
}
/** Peers that run in Node: their servers have an event loop to monitor. */
const IN_NODE = ['ours', 'js', 'net']
/** Peers whose figures include the counters of ferroswarm's native side. */
const COUNTING = ['ours', 'native']
const RUN_TIMEOUT_MS = 60_000
const RATE = ['ops', 'bytes', 'seconds', 'cpu_user_s', 'cpu_sys_s', 'rss_kb']
const LATENCY = ['p50_us', 'p99_us']

/** The code of a reset by client and server, where it is not null; QUIC has a code with every reset. */
const CODES = {
  ours: { ours: 42, go: 42, rust: 0, js: 0, py: 0 },
  go: { ours: 42, go: 42, js: 0, py: 0 }
}
const CODES_QUIC = { ...CODES, go: { ...CODES.go, rust: 0 } }

/** [workload, arguments, expectations of its line]. */
const RUNS = [
  ['upload', { bytes: 4_000_000 }, { numbers: [...RATE, 'MBps'] }],
  ['download', { bytes: 4_000_000 }, { numbers: [...RATE, 'MBps'] }],
  ['upload-32', { bytes: 4_000_000 }, { numbers: [...RATE, 'MBps'], ops: 32 }],
  ['download-32', { bytes: 4_000_000 }, { numbers: [...RATE, 'MBps'], ops: 32 }],
  [
    'paced',
    { rate: 8_000_000, seconds: 0.2 },
    { first: 'ready', numbers: [...RATE, 'MBps'], bytes: 1_600_000 }
  ],
  ['ping', { n: 50 }, { numbers: [...RATE, 'perSec', ...LATENCY] }],
  ['ping-open', { n: 50, rate: 500 }, { numbers: [...RATE, 'perSec', ...LATENCY, 'p999_us'] }],
  ['rr-seq', { n: 30, bytes: 1024 }, { numbers: [...RATE, 'perSec', ...LATENCY] }],
  ['rr-32', { n: 200, bytes: 1024 }, { numbers: [...RATE, 'perSec', ...LATENCY] }],
  ['rr-100', { n: 400, bytes: 0 }, { numbers: [...RATE, 'perSec', ...LATENCY] }],
  ['msgs', { n: 5000, bytes: 100 }, { numbers: [...RATE, 'perSec'] }],
  ['handshake-seq', { n: 10 }, { numbers: [...RATE, 'perSec', ...LATENCY] }],
  ['handshake-16', { n: 48 }, { numbers: [...RATE, 'perSec', ...LATENCY] }],
  ['first-byte', { n: 10 }, { numbers: [...RATE, 'perSec', ...LATENCY] }],
  ['lp', { n: 5000, bytes: 100 }, { numbers: [...RATE, 'perSec'] }],
  ['idle', { n: 20, concurrency: 8 }, { phases: ['base', 'full', 'gone'] }],
  ['echo', { bytes: 3_000_000, concurrency: 4 }, { numbers: [...RATE, 'MBps'] }],
  ['half-close', { bytes: 262_144 }, { numbers: ['ops', 'bytes'] }],
  ['rounds', { n: 20, bytes: 64 }, { numbers: ['ops', 'bytes'], ops: 80 }],
  ['reset', {}, { errorCode: true }],
  ['identify', {}, { identify: true }]
]
/** Pairs that cannot connect, through faults of their own, as `client > server setting`; see contract.md. */
const INCOMPATIBLE = [/^(js > py|py > js) tcp-tls-yamux/]
/** Workloads that such pairs fail, through faults of their own; see contract.md. */
const FAULTS = [
  [/^go > js /, ['download', 'download-32', 'msgs']],
  [/^js > (go|rust) quic/, ['rr-100']],
  [/^js > js quic/, ['rounds']],
  [/^js > py quic/, ['reset']],
  [/^py > (go|rust) quic/, ['rr-seq', 'rr-32', 'rr-100', 'identify']],
  [/^js > js ws-noise-yamux psk/, ['upload', 'download', 'upload-32', 'download-32']]
]
const RESULT_COLUMN = 10

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { setting: { type: 'string', multiple: true, default: Object.keys(SETTINGS) } }
})
const commands = {}
for (const name of positionals.length > 0 ? positionals : Object.keys(PEERS)) {
  const { command, missing } = await commandOf(name)
  if (command === undefined) {
    console.log(`${name}: ${missing}`)
    process.exitCode = 1
  } else {
    commands[name] = command
  }
}

const { remove: removeFiles, ...files } = await writeFiles()
// The certificate is its own root.
files.ca = files.cert
const failures = []
console.log(
  [
    'client > server'.padEnd(34),
    ...RUNS.map(([workload]) => workload.slice(0, RESULT_COLUMN - 1).padEnd(RESULT_COLUMN))
  ].join('')
)
for (const setting of values.setting) {
  const speakers = Object.keys(commands).filter((name) => PEERS[name].settings.includes(setting))
  for (const server of speakers) {
    for (const client of speakers) await testPair(setting, client, server)
  }
}
await removeFiles()
for (const failure of failures) {
  console.log(failure)
}
console.log(
  `${failures.length === 0 ? 'every pair keeps' : `${failures.length} runs break`} the contract`
)
process.exitCode ||= failures.length === 0 ? 0 : 1

async function testPair(setting, client, server) {
  const running = await startServer(commands[server], setting)
  process.stdout.write(`${client} > ${server} ${setting}`.padEnd(34))
  if (INCOMPATIBLE.some((pair) => pair.test(`${client} > ${server} ${setting}`))) {
    await testIncompatible(setting, client, server, running.addr)
  } else {
    await testRuns(setting, client, server, running.addr)
    await testStats(setting, server, running)
  }
  process.stdout.write('\n')
  const problem = await running.stop()
  if (problem !== undefined) {
    failures.push(`${server} server ${setting}: ${problem}`)
  }
}

/** Asserts that they do not connect: once they do, the list is out of date. */
async function testIncompatible(setting, client, server, addr) {
  try {
    await runClient(commands[client], setting, addr, 'ping', { n: 1 })
    failures.push(
      `${client} > ${server} ${setting}: they connect, although they are listed as INCOMPATIBLE`
    )
  } catch {
    process.stdout.write('cannot connect, as known')
  }
}

async function testRuns(setting, client, server, addr) {
  const pair = `${client} > ${server} ${setting}`
  const faults = FAULTS.flatMap(([pairs, workloads]) => (pairs.test(pair) ? workloads : []))
  const lacking = [...PEERS[client].lacks, ...PEERS[server].lacks, ...faults]
  for (const [workload, args, expected] of RUNS) {
    if (lacking.includes(workload)) {
      process.stdout.write('-'.padEnd(RESULT_COLUMN))
      continue
    }
    const start = performance.now()
    let problem
    try {
      problem = check(
        await runClient(commands[client], setting, addr, workload, args),
        expected,
        args,
        { client, server, setting }
      )
    } catch (error) {
      problem = error.message
    }
    if (problem !== undefined) {
      failures.push(`${pair} ${workload}: ${problem}`)
    }
    process.stdout.write(
      (problem === undefined ? `${Math.round(performance.now() - start)} ms` : 'FAILED').padEnd(
        RESULT_COLUMN
      )
    )
  }
}

/** Checks the stats of a server, with its event loop and without. */
async function testStats(setting, server, running) {
  for (const [word, hasLoop] of [
    ['watch', false],
    ['stats', IN_NODE.includes(server)],
    ['stats', false]
  ]) {
    const line = await running.query(word)
    const figures = [line.rss_kb, line.cpu_user_s, line.cpu_sys_s]
    if (hasLoop) figures.push(line.loop?.p99_us, line.loop?.max_us, line.loop?.utilization)
    if (COUNTING.includes(server)) figures.push(line.counters?.socketReads)
    if (!figures.every((figure) => figure >= 0) || hasLoop !== (line.loop !== undefined)) {
      failures.push(`${server} server ${setting} ${word}: printed ${JSON.stringify(line)}`)
    }
  }
}

async function startServer(command, setting) {
  const child = spawn(
    command[0],
    [...command.slice(1), 'server', ...flagsOf('server', setting), '--listen', '127.0.0.1:0'],
    {
      stdio: ['pipe', 'pipe', 'inherit']
    }
  )
  const exited = once(child, 'exit')
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const next = async () => {
    const { value, done } = await lines.next()
    if (done) throw new Error('the server ended before it printed a line')
    return JSON.parse(value)
  }
  const { addr } = await next()
  return {
    addr,
    query(word) {
      child.stdin.write(`${word}\n`)
      return next()
    },
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

/** Returns the stack of a setting, and the files for this side. */
function flagsOf(side, setting) {
  const names = SETTINGS[setting][side] ?? []
  const [stack] = setting.split(' ')
  return ['--stack', stack, ...names.flatMap((name) => [`--${name}`, files[name]])]
}

/** Resolves to the lines that a client printed. Those with phases get the input they wait for. */
async function runClient(command, setting, addr, workload, args) {
  const flags = Object.entries(args).flatMap(([name, value]) => [`--${name}`, String(value)])
  const child = spawn(
    command[0],
    [
      ...command.slice(1),
      'client',
      ...flagsOf('client', setting),
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
  child.stdin.on('error', () => {}) // Few clients read it.
  const lines = []
  createInterface({ input: child.stdout }).on('line', (line) => {
    lines.push(JSON.parse(line))
    child.stdin.write('\n')
  })
  const [code, signal] = await once(child, 'close')
  clearTimeout(timer)
  const { error } = lines.at(-1) ?? {}
  if (error !== undefined) throw new Error(error)
  if (code !== 0) {
    throw new Error(`ended with ${signal ?? `exit code ${code}`}`)
  }
  return lines
}

/** Returns the problem with a client's lines, if any. */
function check(lines, expected, args, { client, server, setting }) {
  if (expected.phases !== undefined) {
    const phases = lines.map((line) => line.phase)
    const measured = lines.every((line) => line.rss_kb > 0)
    return String(phases) === String(expected.phases) && measured
      ? undefined
      : `printed ${JSON.stringify(lines)}`
  }
  if (expected.first !== undefined && lines.shift()?.phase !== expected.first) {
    return `did not begin with ${expected.first}`
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
  const ops = expected.ops ?? args.n ?? args.concurrency ?? 1
  if (expected.numbers?.includes('seconds') && line.ops !== ops) return `ops is ${line.ops}`
  if (expected.bytes !== undefined && line.bytes !== expected.bytes) {
    return `bytes is ${line.bytes}, expected ${expected.bytes}`
  }
  if (COUNTING.includes(client) && line.seconds !== undefined && !(line.counters?.drains >= 0)) {
    return `counters are ${JSON.stringify(line.counters)}`
  }
  if (expected.errorCode !== undefined) {
    const codes = setting === 'quic' ? CODES_QUIC : CODES
    const code = codes[client]?.[server] ?? null
    return line.errorCode === code ? undefined : `errorCode is ${line.errorCode}, expected ${code}`
  }
  return expected.identify === true ? checkIdentify(line, server, setting) : undefined
}

function checkIdentify(line, server, setting) {
  if (!line.agentVersion?.startsWith(PEERS[server].agent)) {
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
  const observed = `/ip4/127.0.0.1/${setting === 'quic' && server !== 'py' ? 'udp' : 'tcp'}/`
  if (line.listenAddrs?.length !== 1 || !line.observedAddr?.startsWith(observed)) {
    return `listenAddrs are ${line.listenAddrs}, observedAddr is ${line.observedAddr}`
  }
  return undefined
}
