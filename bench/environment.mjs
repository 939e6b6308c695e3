// Where a run takes place: a network namespace of its own where the user may make one, and the facts to tell.

import { spawnSync } from 'node:child_process'
import { availableParallelism, cpus, loadavg, release, totalmem } from 'node:os'

const CONGESTION_FILE = '/proc/sys/net/ipv4/tcp_congestion_control'
/** bbr paces: on loopback it would decide what bulk transfers show. */
const CONGESTION_CONTROL = 'reno'

const ENTER = `ip link set lo up && echo ${CONGESTION_CONTROL} > ${CONGESTION_FILE}; exec "$@"`

/**
 * What to put before a command line so that it runs in a network namespace of its own; nothing where there can be
 * none.
 */
export function namespacePrefix() {
  if (process.platform !== 'linux') return []
  const unshare = ['unshare', ...(process.getuid() === 0 ? ['-n'] : ['-r', '-n'])]
  const [program, ...args] = [...unshare, 'ip', 'link', 'set', 'lo', 'up']
  return spawnSync(program, args).status === 0 ? [...unshare, 'sh', '-c', ENTER, 'sh'] : []
}

/** What a reader needs to judge the figures of a run behind `prefix`. */
export function environment(prefix = []) {
  return {
    node: process.version,
    kernel: `${process.platform} ${release()}`,
    cpu: `${availableParallelism()} x ${cpus()[0]?.model ?? 'unknown'}`,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    network: prefix.length === 0 ? 'loopback of the machine' : 'loopback of a network namespace',
    congestionControl: congestionControl(prefix),
    loadAverage: loadavg().map((load) => Math.round(load * 100) / 100)
  }
}

/** Each namespace has its own, and a new one that of the one it was made in. */
function congestionControl(prefix) {
  const [program, ...args] = [...prefix, 'cat', CONGESTION_FILE]
  const { stdout } = spawnSync(program, args, { encoding: 'utf8' })
  return stdout?.trim() || 'unknown'
}
