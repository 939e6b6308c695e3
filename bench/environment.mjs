// Where a run takes place: a network namespace of its own where the user may make one, and the facts to tell.

import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { availableParallelism, cpus, loadavg, release, totalmem } from 'node:os'

const CONGESTION_FILE = '/proc/sys/net/ipv4/tcp_congestion_control'
/** bbr paces: on loopback it would decide what bulk transfers show. */
const CONGESTION_CONTROL = 'reno'

/** Set in the process that runs inside. */
const INSIDE = 'FERROSWARM_BENCH_NAMESPACE'

const ENTER = `ip link set lo up && echo ${CONGESTION_CONTROL} > ${CONGESTION_FILE}; exec "$@"`

/**
 * Runs this program again inside a network namespace of its own, and ends with its exit code. Comes back at once
 * inside it, and where there can be none.
 */
export function enterNamespace() {
  if (process.platform !== 'linux' || process.env[INSIDE] !== undefined) return
  const unshare = process.getuid() === 0 ? ['-n'] : ['-r', '-n']
  if (spawnSync('unshare', [...unshare, 'ip', 'link', 'set', 'lo', 'up']).status !== 0) return
  const program = [process.execPath, ...process.argv.slice(1)]
  const { status } = spawnSync('unshare', [...unshare, 'sh', '-c', ENTER, 'sh', ...program], {
    stdio: 'inherit',
    env: { ...process.env, [INSIDE]: '1' }
  })
  process.exit(status ?? 1)
}

/** What a reader needs to judge the figures. */
export function environment() {
  return {
    date: new Date().toISOString(),
    node: process.version,
    kernel: `${process.platform} ${release()}`,
    cpu: `${availableParallelism()} x ${cpus()[0]?.model ?? 'unknown'}`,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    network:
      process.env[INSIDE] === undefined
        ? 'loopback of the machine'
        : 'loopback of a network namespace',
    congestionControl: congestionControl(),
    loadAverage: loadavg().map((load) => Math.round(load * 100) / 100)
  }
}

function congestionControl() {
  try {
    return readFileSync(CONGESTION_FILE, 'utf8').trim()
  } catch {
    return 'unknown'
  }
}
