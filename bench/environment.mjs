// The environment of a run: a separate network namespace if permitted, and the facts for the report.

import { spawnSync } from 'node:child_process'
import { availableParallelism, cpus, loadavg, release, totalmem } from 'node:os'

const CONGESTION_FILE = '/proc/sys/net/ipv4/tcp_congestion_control'
/** Not bbr, which paces: on loopback it would determine the results of bulk transfers. */
const CONGESTION_CONTROL = 'reno'

const ENTER = `ip link set lo up && echo ${CONGESTION_CONTROL} > ${CONGESTION_FILE}; exec "$@"`

/**
 * Returns the prefix that runs a command line in a separate network namespace; empty if none can be created.
 */
export function namespacePrefix() {
  if (process.platform !== 'linux') return []
  const unshare = ['unshare', ...(process.getuid() === 0 ? ['-n'] : ['-r', '-n'])]
  const [program, ...args] = [...unshare, 'ip', 'link', 'set', 'lo', 'up']
  return spawnSync(program, args).status === 0 ? [...unshare, 'sh', '-c', ENTER, 'sh'] : []
}

/** Returns the facts needed to judge the figures of a run with `prefix`. */
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

/** Returns the congestion control of the namespace; a new one inherits that of its parent. */
function congestionControl(prefix) {
  const [program, ...args] = [...prefix, 'cat', CONGESTION_FILE]
  const { stdout } = spawnSync(program, args, { encoding: 'utf8' })
  return stdout?.trim() || 'unknown'
}
