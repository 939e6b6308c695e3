// Building blocks of the scenarios' series.

export const NOISE = 'tcp-noise-yamux'
export const TLS = 'tcp-tls-yamux'
export const QUIC = 'quic'
export const WS = 'ws-noise-yamux'

const MIB = 1024 * 1024

/** Bytes that the bulk workloads transfer before their timed part, over the same connection. */
const WARM_UP_BYTES = 32 * MIB

export const RATE = { unit: '/s', better: 'more', value: (line) => line.perSec }
export const P50 = { unit: 'us', better: 'less', value: (line) => line.p50_us }
export const P99 = { unit: 'us', better: 'less', value: (line) => line.p99_us }

/** Returns a series of a bulk workload. */
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

/** Returns a series of a workload counted in operations, `first` of them before its rate is known. */
export function operations(workload, first, args = {}) {
  return {
    workload,
    args,
    flag: 'n',
    first,
    cpu: { unit: 'us/op', scale: 1e6, per: (line) => line.ops }
  }
}

/** Returns a figure of the addon's counters per unit of work, at the end with more; other peers have no counters. */
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
