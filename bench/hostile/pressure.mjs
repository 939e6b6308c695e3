// Attacks that need a node in a particular state: blocked, without descriptors, in front of a stopped peer, or reached
// over IPv6.

import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { connect } from 'node:net'
import { fileURLToPath } from 'node:url'
import { DATA, OPEN, PING, RST, SYN, times } from '../../__test__/support/bad-input.ts'
import { line, MULTISTREAM, RawPeer } from '../../__test__/support/raw-peer.ts'
import { ECHO_PROTOCOL, UNREAD_PROTOCOL } from '../../__test__/support/stand.ts'
import { startVictim } from '../../__test__/support/victim.ts'
import { createSwarm } from '../../ts/swarm.ts'
import { hosts } from './assault.mjs'
import { session } from './attacks.mjs'
import {
  isServed,
  MEMORY_MAX,
  measured,
  pause,
  peakOf,
  REAL,
  SHARE_MIN,
  start,
  startAttacker,
  Work
} from './contest.mjs'
import { NODE_PROCESSOR, pin, processorMsOf } from './processor.mjs'

const MIB = 1_024 * 1_024

export const PRESSURES = [
  {
    name: '1,000 connections, 256 descriptors, default limits (A154)',
    bar: 'CPU <= 50 %, back in <= 2 s',
    run: () =>
      withVictim(REAL, { descriptors: DESCRIPTORS }, (victim) =>
        exhausted(victim, async () => (await victim.figures()).refused >= 900)
      )
  },
  {
    name: '1,000 connections, 256 descriptors, no limit (A154)',
    bar: 'CPU <= 50 %, back in <= 2 s',
    run: () =>
      withVictim(
        { ...REAL, transient: UNLIMITED, system: UNLIMITED },
        { descriptors: DESCRIPTORS },
        (victim) => exhausted(victim, ({ pid }) => descriptorsOf(pid) >= DESCRIPTORS - 4)
      )
  },
  {
    name: 'others beside a stopped peer (A167)',
    bar: `>= ${SHARE_MIN}x, <= 64 MiB, closed within 5 s`,
    run: () => withVictim({ ...REAL, writeStallTimeoutMs: STALL_MS }, {}, stopped)
  },
  {
    name: 'event loop blocked for 3 s, 32 streams at full speed (A183)',
    bar: '<= 64 MiB, nothing lost',
    run: () => withVictim(REAL, {}, blocked)
  },
  {
    name: '300 streams, event loop blocked (A076)',
    bar: '256 accepted, 44 reset',
    run: () => withVictim(REAL, {}, backlog)
  },
  {
    name: 'connections of an IPv6 /56, of a /48, of another (A151)',
    bar: '8 of 9, 64 of 72, 1 of 1',
    run: subnets
  }
]

/** Runs a case against a fresh victim, whose bystander must still be served afterwards. */
async function withVictim(limits, options, run) {
  const victim = await startVictim(limits, options)
  try {
    const result = await run(victim)
    await victim.echo()
    return result
  } finally {
    await victim.close()
  }
}

const DESCRIPTORS = 256
const UNLIMITED = { connectionsInbound: 'unlimited', connections: 'unlimited', fds: 'unlimited' }
const CPU_SHARE_MAX = 0.5
const FREE_MS_MAX = 2_000

async function exhausted(victim, isReached) {
  const { pid } = victim
  const before = descriptorsOf(pid)
  const peers = hosts(250).flatMap((localAddress) =>
    times(4, () => new RawPeer(connect({ port: victim.port, host: '127.0.0.1', localAddress })))
  )
  await eventually(() => isReached(victim))
  const [started, early] = [performance.now(), processorMsOf(pid)]
  await pause(1_000)
  const share = (processorMsOf(pid) - early) / (performance.now() - started)
  const open = descriptorsOf(pid)
  await victim.echo()
  for (const { socket } of peers) socket.resetAndDestroy()
  const freed = performance.now()
  await eventually(() => isServed(victim.port, '127.0.0.2'))
  const ms = performance.now() - freed
  await eventually(() => descriptorsOf(pid) <= before)
  return {
    isKept: share <= CPU_SHARE_MAX && ms <= FREE_MS_MAX,
    text: `${open} descriptors, CPU ${(share * 100).toFixed(0)} %, back in ${(ms / 1_000).toFixed(2)} s`
  }
}

/** Polls until a condition holds. */
async function eventually(condition) {
  for (const end = performance.now() + 15_000; !(await condition()); await pause(10)) {
    if (performance.now() > end) throw new Error(`never held: ${condition}`)
  }
}

// Without descriptors a process cannot tell its own figures.
function descriptorsOf(pid) {
  return readdirSync(`/proc/${pid}/fd`).length
}

const STALL_MS = 2_000
const STALL_ROUNDS = 3

async function stopped(victim) {
  const load = start('load', victim.port)
  await once(load, 'message')
  for (const { pid } of [victim, load]) pin(pid, NODE_PROCESSOR)
  await measured(load)
  const before = await victim.figures()
  const memory = peakOf(victim.pid)
  const control = new Work()
  const attacked = new Work()
  let seconds = 0
  for (let round = 0; round < STALL_ROUNDS; round += 1) {
    const peer = startAttacker()
    control.add(await measured(load))
    peer.send({ name: 'echoes', options: { perSecond: 1_000 }, port: victim.port })
    // So much is unread only if the echoes are stalled: its socket and the node's are full.
    await victim.figuresWhen(({ reservedBytes }) => reservedBytes > before.reservedBytes + 4 * MIB)
    const stoppedAt = performance.now()
    peer.kill('SIGSTOP')
    // What it had sent is read.
    await pause(300)
    attacked.add(await measured(load))
    await victim.figuresWhen(({ connections }) => connections === before.connections)
    seconds = Math.max(seconds, (performance.now() - stoppedAt) / 1_000)
    peer.kill('SIGKILL')
  }
  const grown = memory.end() - before.residentBytes
  await victim.figuresWhen(({ reservedBytes }) => reservedBytes <= before.reservedBytes)
  load.disconnect()
  const { requests, bytes } = attacked.over(control)
  return {
    isKept:
      requests >= SHARE_MIN &&
      bytes >= SHARE_MIN &&
      grown <= MEMORY_MAX &&
      seconds <= STALL_MS / 1_000 + 3,
    text: [
      `requests ${requests.toFixed(2)}x`,
      `bytes ${bytes.toFixed(2)}x`,
      `+${Math.max(0, grown / MIB).toFixed(0)} MiB`,
      `closed after ${seconds.toFixed(1)} s`
    ].join(', ')
  }
}

const BLOCK_MS = 3_000
const CHUNK = new Uint8Array(256 * 1_024).fill(7)

async function blocked(victim) {
  const swarm = await createSwarm({ services: { ping: false, identify: false } })
  const connection = await swarm.dialAddr(`/ip4/127.0.0.1/tcp/${victim.port}`)
  let isOver = false
  const echo = async () => {
    const stream = await connection.newStream(ECHO_PROTOCOL)
    let sent = 0
    const write = async () => {
      for (; !isOver; sent += CHUNK.length) await stream.write(CHUNK)
      await stream.closeWrite()
    }
    let received = 0
    const read = async () => {
      for await (const bytes of stream) received += bytes.length
    }
    await Promise.all([write(), read()])
    return received === sent
  }
  const echoes = times(32, echo)
  await pause(500)
  const before = await victim.figures()
  const memory = peakOf(victim.pid)
  await victim.block(BLOCK_MS)
  const grown = memory.end() - before.residentBytes
  isOver = true
  const isComplete = (await Promise.all(echoes)).every(Boolean)
  await swarm.close({ drainTimeout: 0 })
  return {
    isKept: isComplete && grown <= MEMORY_MAX,
    text: `+${Math.max(0, grown / MIB).toFixed(0)} MiB, ${isComplete ? 'nothing lost' : 'bytes lost'}`
  }
}

async function backlog(victim) {
  const { peer, session: yamux } = await session(victim)
  const unblocked = victim.block(BLOCK_MS)
  await pause(500)
  const body = Buffer.concat([line(MULTISTREAM), line(UNREAD_PROTOCOL)])
  for (const id of times(300, (index) => index * 2 + 1)) {
    yamux.send({ ...OPEN, id }, { type: DATA, id, body })
  }
  yamux.send({ type: PING, flags: SYN, length: 7 })
  let resets = 0
  const countUntilPong = async (value) => {
    for (;;) {
      const { type, flags, length } = await yamux.frame()
      if ((flags & RST) !== 0) resets += 1
      if (type === PING && length === value) return
    }
  }
  await countUntilPong(7)
  await unblocked
  const { taken } = await victim.figuresWhen((figures) => figures.taken >= 256)
  yamux.send({ type: PING, flags: SYN, length: 8 })
  await countUntilPong(8)
  const isOpen = !peer.socket.destroyed
  return {
    isKept: isOpen && taken === 256 && resets === 44,
    text: `${taken} accepted, ${resets} reset${isOpen ? '' : ', closed'}`
  }
}

/** Runs ipv6.mjs in a network namespace, where every address of a prefix is a local one. */
function subnets() {
  const script = [
    'ip link set lo up',
    'ip -6 route add local fd00::/16 dev lo',
    'echo 1 >/proc/sys/net/ipv6/ip_nonlocal_bind',
    'exec "$0" "$1"'
  ].join(' && ')
  const program = fileURLToPath(new URL('./ipv6.mjs', import.meta.url))
  const args = ['--user', '--map-root-user', '--net', 'sh', '-c', script, process.execPath, program]
  return new Promise((resolve) => {
    execFile('unshare', args, (error, out, err) => {
      if (error === null) return resolve(JSON.parse(out))
      resolve({ isKept: false, text: `no network namespace: ${err.trim()}` })
    })
  })
}
