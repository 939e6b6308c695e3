/**
 * Compares js-libp2p with the components of ferroswarm/libp2p and with stock ones: messages of gossipsub, and the memory
 * of connections that are idle. Prints medians of interleaved rounds. What streams and handshakes cost is scenario S14.
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
const MESSAGES = 64 * 200
const MESSAGE_BYTES = 1_024
const CONNECTIONS = 400

/** Starts a node in a process of its own. */
async function start([command, folder], kind) {
  const child = fork(join(folder, 'figures.js'), [kind], {
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

async function pair(command, kind) {
  const [server, client] = await Promise.all([start(command, kind), start(command, kind)])
  return { server, client, kind }
}

function stop({ server, client }) {
  for (const { child } of [server, client]) child.disconnect()
}

const asks = async (role, ...message) => (await ask(role, message))[0]

const cpuUs = ({ user, system }) => user + system

async function gossip(command, kind) {
  const peers = await pair(command, kind)
  const { server, client } = peers
  const before = await Promise.all([asks(server, 'cost'), asks(client, 'cost')])
  const seconds = await asks(client, 'publish', server.address, MESSAGES, MESSAGE_BYTES)
  const after = await Promise.all([asks(server, 'cost'), asks(client, 'cost')])
  stop(peers)
  const us = after.map((cost, at) => cpuUs(cost) - cpuUs(before[at]))
  const { idle, active } = after[0].loop
  const loop = active - before[0].loop.active
  return {
    'messages/s': MESSAGES / seconds,
    'us of CPU at the publisher': us[1] / MESSAGES,
    'us of CPU at the subscriber': us[0] / MESSAGES,
    "% of the subscriber's loop busy": (100 * loop) / (loop + idle - before[0].loop.idle)
  }
}

async function idle(command, kind) {
  const peers = await pair(command, kind)
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
await compare(`gossipsub, ${MESSAGE_BYTES} B`, (kind) => gossip(command, kind))
await compare('an idle connection with identify', (kind) => idle(command, kind))
