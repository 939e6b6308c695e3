// Legitimate peers beside an attack on their node, in comparison with the same attack on a sink.

import { fork } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { RawPeer } from '../../__test__/support/raw-peer.ts'
import { startVictim } from '../../__test__/support/victim.ts'
import { availableMs } from './processor.mjs'

const MIB = 1_024 * 1_024
const PAGE = 4_096
const ROUNDS = 8
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
  attacker ??= start('attacker')
  sinks[sink] ??= startSink(sink)
  try {
    const [sinkPort] = await Promise.all([sinks[sink], once(load, 'message')])
    // Not attacker and sink: they stand for other machines, and the sink's handshakes cost more than the node's.
    const pids = [victim, load].map(({ pid }) => pid)
    // The first windows warm up compilers and pools.
    await measured(load, pids)
    const before = await victim.figures()
    const peaks = { control: before.residentBytes, attacked: 0 }
    const control = new Rates()
    const attacked = new Rates()
    const attack = { name: assault, options }
    for (let round = 0; round < ROUNDS; round += 1) {
      const window = async (kind, rates, port) => {
        const memory = peakOf(victim.pid)
        rates.add(await beside({ ...attack, port }, load, pids))
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

async function startSink(mode) {
  const [{ port }] = await once(start('sink', mode), 'message')
  return port
}

/** Resolves to the work of the load in one window, and the CPU time available for it. */
export async function measured(load, pids) {
  const window = {}
  for (const kind of ['requests', 'bytes']) {
    const before = availableMs(pids)
    load.send({ kind, ms: WINDOW_MS })
    const [{ count }] = await once(load, 'message')
    window[kind] = { count, ms: availableMs(pids) - before }
  }
  return window
}

/** The rates of many windows. */
export class Rates {
  requests = { count: 0, ms: 0 }
  bytes = { count: 0, ms: 0 }

  add(window) {
    for (const kind of ['requests', 'bytes']) {
      this[kind].count += window[kind].count
      this[kind].ms += window[kind].ms
    }
  }

  /** Returns these rates in proportion to others. */
  over(others) {
    const rate = ({ count, ms }) => count / ms
    return {
      requests: rate(this.requests) / rate(others.requests),
      bytes: rate(this.bytes) / rate(others.bytes)
    }
  }
}

/** Resolves to the work of the load beside an attack. */
async function beside(attack, load, pids) {
  attacker.send(attack)
  await pause(LEAD_MS)
  const window = await measured(load, pids)
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
