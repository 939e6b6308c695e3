/**
 * Compares js-libp2p with the components of ferroswarm/libp2p and with stock ones, in the steady state: connections
 * without and with identify, messages of gossipsub, and the memory of connections that are idle. Prints medians of
 * interleaved rounds. What streams cost is scenario S14.
 *
 *     node bench/libp2p.mjs
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { peerCommand } from '../interop/build.mjs'
import { environment } from './environment.mjs'
import { median } from './report/statistics.mjs'
import { ask } from './roles.mjs'

const KINDS = ['ours', 'js']
const ROUNDS = 5
const HANDSHAKES = 1_000
const WARM_UP = 300
const MESSAGES = 256 * 250
const MESSAGE_BYTES = 1_024
const CONNECTIONS = 400

/** Starts a node in a process of its own. */
async function start([command, folder], kind, services) {
  const child = fork(join(folder, 'figures.js'), [kind, services], {
    execPath: command,
    execArgv: ['--expose-gc'],
    cwd: folder
  })
  child.once('exit', (code) => {
    if (code !== 0) process.exit(1)
  })
  const [address] = await once(child, 'message')
  return { child, address }
}

async function pair(command, kind, services) {
  const [server, client] = await Promise.all([1, 2].map(() => start(command, kind, services)))
  return { server, client, kind }
}

function stop({ server, client }) {
  for (const { child } of [server, client]) child.disconnect()
}

const asks = async (role, ...message) => (await ask(role, message))[0]

const cpuUs = ({ user, system }) => user + system

/** Runs a command of the client; resolves to its result, and what both ends have spent. */
async function spent({ server, client }, ...command) {
  const costs = () => Promise.all([server, client].map((role) => asks(role, 'cost')))
  const before = await costs()
  const seconds = await asks(client, ...command)
  const after = await costs()
  const [serverUs, clientUs] = after.map((cost, at) => cpuUs(cost) - cpuUs(before[at]))
  const { idle, active } = after[0].loop
  const loop = active - before[0].loop.active
  return { seconds, serverUs, clientUs, busy: loop / (loop + idle - before[0].loop.idle) }
}

async function handshakes(command, kind, services) {
  const peers = await pair(command, kind, services)
  const { address } = peers.server
  await asks(peers.client, 'handshakes', address, WARM_UP)
  const { seconds, serverUs, clientUs } = await spent(peers, 'handshakes', address, HANDSHAKES)
  stop(peers)
  return {
    'connections/s': HANDSHAKES / seconds,
    'us of CPU at the dialler': clientUs / HANDSHAKES,
    'us of CPU at the listener': serverUs / HANDSHAKES
  }
}

async function gossip(command, kind) {
  const peers = await pair(command, kind, 'pubsub')
  const { address } = peers.server
  const run = await spent(peers, 'publish', address, MESSAGES, MESSAGE_BYTES)
  stop(peers)
  return {
    'messages/s': MESSAGES / run.seconds,
    'us of CPU at the publisher': run.clientUs / MESSAGES,
    'us of CPU at the subscriber': run.serverUs / MESSAGES,
    "% of the subscriber's loop busy": 100 * run.busy
  }
}

async function idle(command, kind) {
  const peers = await pair(command, kind, 'pubsub')
  const { server, client } = peers
  await asks(client, 'connect', server.address, 20)
  const before = await asks(server, 'memory')
  await asks(client, 'connect', server.address, CONNECTIONS)
  const after = await asks(server, 'memory')
  stop(peers)
  const connections = after.connections - before.connections
  return {
    'KiB of heap': (after.heapUsed - before.heapUsed) / 1_024 / connections,
    'KiB of memory': (after.rss - before.rss) / 1_024 / connections,
    connections
  }
}

/** Measures both kinds in turn, and prints a line for each. */
async function compare(title, measure) {
  const rounds = new Map(KINDS.map((kind) => [kind, []]))
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const kind of round % 2 === 0 ? KINDS : KINDS.toReversed()) {
      rounds.get(kind).push(await measure(kind))
    }
  }
  for (const [kind, all] of rounds) {
    const medians = Object.keys(all[0]).map(
      (unit) => `${median(all.map((it) => it[unit])).toFixed(1)} ${unit}`
    )
    console.log(`${title}, ${kind}: ${medians.join(', ')}`)
  }
}

const { node, kernel, cpu } = environment()
console.log(`${cpu}; ${kernel}; node ${node}; medians of ${ROUNDS} rounds`)
const { command, missing } = await peerCommand('libp2p')
if (missing !== undefined) throw new Error(missing)
for (const [services, title] of [
  ['none', 'dial and close'],
  ['identify', 'dial, identify and close']
]) {
  await compare(title, (kind) => handshakes(command, kind, services))
}
await compare(`gossipsub, ${MESSAGE_BYTES} B`, (kind) => gossip(command, kind))
await compare('an idle connection with identify', (kind) => idle(command, kind))
