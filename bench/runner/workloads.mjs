// What the scenarios' series are made of.

export const NOISE = 'tcp-noise-yamux'
export const TLS = 'tcp-tls-yamux'

const MIB = 1024 * 1024

/** Bytes that the bulk workloads move before their timed part, over the same connection. */
const WARM_UP_BYTES = 32 * MIB

export const RATE = { unit: '/s', better: 'more', value: (line) => line.perSec }
export const P50 = { unit: 'us', better: 'less', value: (line) => line.p50_us }
export const P99 = { unit: 'us', better: 'less', value: (line) => line.p99_us }

/** A series of a workload that moves bytes. */
export function bulk(workload, figure, args = {}) {
  return {
    workload,
    args,
    flag: 'bytes',
    first: 32 * MIB,
    untimed: WARM_UP_BYTES,
    figures: [{ unit: 'MB/s', better: 'more', value: (line) => line.MBps, ...figure }],
    cpu: { unit: 'ns/B', scale: 1e9, per: (line) => line.bytes }
  }
}

/** A series of a workload that is counted in operations, `first` of them before its rate is known. */
export function operations(workload, first, args = {}) {
  return {
    workload,
    args,
    flag: 'n',
    first,
    cpu: { unit: 'us/op', scale: 1e6, per: (line) => line.ops }
  }
}

/** What the addon counted at the end that counted more of it, for each unit of work; other peers have no counters. */
export function counted(names, { per, ...figure }) {
  const sum = (counters) => names.reduce((all, name) => all + counters[name], 0)
  return {
    better: 'less',
    value: (line) => Math.max(sum(line.counters), sum(line.server_counters)) / per(line),
    peers: ['ours'],
    ...figure
  }
}

export const mebibytes = ({ bytes }) => bytes / MIB
