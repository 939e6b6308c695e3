// Legitimate peers beside an attack on their node, in comparison with the same attack on a sink.

import { fork } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { RawPeer } from '../../__test__/support/raw-peer.ts'
import { startVictim } from '../../__test__/support/victim.ts'
import { ATTACKER_PROCESSOR, NODE_PROCESSOR, pin } from './processor.mjs'

const MIB = 1_024 * 1_024
const PAGE = 4_096
const ROUNDS = 16
/** Of requests, then of bytes. */
const WINDOW_MS = 250
/** An attack runs for this long before its window. */
const LEAD_MS = 100
export const SHARE_MIN = 0.8
const RECOVERY_MS = 5_000
const POLL_MS = 50

/** Growth of the resident set that is permitted, and the limit of the system's scope. */
export const MEMORY_MAX = 64 * MIB

/** Every address of loopback counts; memory has a limit that the machine does not set. */
export const REAL = { loopbackExempt: false, system: { memory: MEMORY_MAX } }

/** The attacker and the sinks serve all cases, and exit with this process. */
let attacker
const sinks = {}

/** A test context that ends with the process. */
const CONTEXT = { teardown() {} }

/**
 * A case: the node serves its other peers at a share of at least 0.8 while it is attacked, refuses, stays within its
 * memory, and serves the attacker's host again within 5 s.
 */
export function contest(name, { assault, options, sink = 'session', limits, counted, host }) {
  return {
    name,
    bar: `>= ${SHARE_MIN}x, ${counted === undefined ? '' : `> 0 ${counted}, `}<= ${MEMORY_MAX / MIB} MiB, <= 5 s`,
    run: () => run({ assault, options, sink, limits: { ...REAL, ...limits }, counted, host })
  }
}

async function run({ assault, options, sink, limits, counted, host = '127.0.0.2' }) {
  const victim = await startVictim(limits)
  const load = start('load', victim.port)
  attacker ??= startAttacker()
  sinks[sink] ??= startSink(sink)
  try {
    const [sinkPort] = await Promise.all([sinks[sink], once(load, 'message')])
    // What an attack costs the attacker, or the sink, takes nothing from the node and its peers.
    for (const { pid } of [victim, load]) pin(pid, NODE_PROCESSOR)
    // The first windows warm up compilers and pools.
    await measured(load)
    const before = await victim.figures()
    const peaks = { control: before.residentBytes, attacked: 0 }
    const control = new Work()
    const attacked = new Work()
    const attack = { name: assault, options }
    for (let round = 0; round < ROUNDS; round += 1) {
      const window = async (kind, work, port) => {
        const memory = peakOf(victim.pid)
        work.add(await beside({ ...attack, port }, load))
        peaks[kind] = Math.max(peaks[kind], memory.end())
      }
      const windows = [
        () => window('control', control, sinkPort),
        () => window('attacked', attacked, victim.port)
      ]
      // Whatever drifts affects both orders.
      for (const run of round % 2 === 0 ? windows : windows.toReversed()) await run()
    }
    const seconds = await recovery(victim, host, before)
    const after = await victim.figures()
    await victim.echo()
    // The load makes the heap of JavaScript grow in either window.
    const grown = peaks.attacked - peaks.control
    const count = counted === undefined ? 1 : after[counted] - before[counted]
    const { requests, bytes } = attacked.over(control)
    return {
      isKept:
        requests >= SHARE_MIN &&
        bytes >= SHARE_MIN &&
        count > 0 &&
        grown <= MEMORY_MAX &&
        seconds * 1_000 <= RECOVERY_MS,
      text: [
        `requests ${requests.toFixed(2)}x`,
        `bytes ${bytes.toFixed(2)}x`,
        ...(counted === undefined ? [] : [`${count} ${counted}`]),
        `+${Math.max(0, grown / MIB).toFixed(0)} MiB`,
        `back in ${seconds.toFixed(1)} s`
      ].join(', ')
    }
  } finally {
    load.disconnect()
    await victim.close()
  }
}

export function start(program, ...args) {
  return fork(new URL(`./${program}.mjs`, import.meta.url), args.map(String))
}

export function startAttacker() {
  const child = start('attacker')
  pin(child.pid, ATTACKER_PROCESSOR)
  return child
}

async function startSink(mode) {
  const child = start('sink', mode)
  pin(child.pid, ATTACKER_PROCESSOR)
  const [{ port }] = await once(child, 'message')
  return port
}

/** Resolves to the requests and bytes of the load in a window each. */
export async function measured(load) {
  const window = {}
  for (const kind of ['requests', 'bytes']) {
    load.send({ kind, ms: WINDOW_MS })
    const [{ count }] = await once(load, 'message')
    window[kind] = count
  }
  return window
}

/** The work done in as many windows as in those that it is compared with. */
export class Work {
  requests = 0
  bytes = 0

  add({ requests, bytes }) {
    this.requests += requests
    this.bytes += bytes
  }

  /** Returns this work in proportion to other. */
  over({ requests, bytes }) {
    return { requests: this.requests / requests, bytes: this.bytes / bytes }
  }
}

/** Resolves to the work of the load beside an attack. */
async function beside(attack, load) {
  attacker.send(attack)
  await pause(LEAD_MS)
  const window = await measured(load)
  attacker.send('stop')
  await once(attacker, 'message')
  return window
}

/** Resolves to the seconds until the attacker's host is served and nothing of the attack is left. */
async function recovery(victim, host, before) {
  const started = performance.now()
  const elapsed = () => performance.now() - started
  while (elapsed() < 2 * RECOVERY_MS) {
    const { connections, streams, reservedBytes } = await victim.figures()
    const isGone = connections <= before.connections && streams === 0
    if (isGone && reservedBytes <= before.reservedBytes && (await isServed(victim.port, host)))
      break
    await pause(POLL_MS)
  }
  return elapsed() / 1_000
}

/** Resolves to whether a handshake from this host succeeds. */
export async function isServed(port, host) {
  try {
    const peer = await RawPeer.connect(CONTEXT, port, host)
    await peer.dial()
    peer.socket.destroy()
    return true
  } catch {
    return false
  }
}

/** Observes the resident set of a process; `end` returns its maximum. */
export function peakOf(pid) {
  let peak = 0
  const sample = () => {
    peak = Math.max(peak, residentBytes(pid))
  }
  const timer = setInterval(sample, POLL_MS)
  return {
    end() {
      clearInterval(timer)
      sample()
      return peak
    }
  }
}

function residentBytes(pid) {
  return Number(readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ')[1]) * PAGE
}

export function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
