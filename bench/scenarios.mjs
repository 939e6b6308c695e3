// What is measured. Sizes are for about two seconds a run on two cores of 2.5 GHz.
//
// `work` is how much a peer is given, in what `flag` counts; JavaScript's share is smaller, as a run of a slow peer
// need not move more to be as exact. The figures of a run are rows of the table.

const MIB = 1024 * 1024

/** Bytes that the bulk workloads move before their timed part, over the same server. */
const WARM_UP_BYTES = 32 * MIB

/** Connections before memory is read the first time: code, pools and young generation have their working size then. */
export const IDLE_WARM_UP = 500

/** Clients that connect at once while memory fills. */
export const IDLE_CONCURRENCY = 16

const RATE = { name: 'rate', value: (line) => line.perSec, better: 'more' }
const P50 = { name: 'p50', unit: 'us', value: (line) => line.p50_us, better: 'less' }
const P99 = { name: 'p99', unit: 'us', value: (line) => line.p99_us, better: 'less' }

export const SCENARIOS = [
  bulk('upload'),
  bulk('download'),
  {
    ...perOperation('ping', { native: 40_000, js: 10_000 }),
    figures: [
      { ...RATE, name: 'echo on an open stream, 32 B', unit: '/s' },
      { ...P50, name: 'echo p50' },
      { ...P99, name: 'echo p99' }
    ]
  },
  streams('rr-seq', 'new stream, 1 KiB each way, one at a time', { native: 16_000, js: 1_600 }),
  streams('rr-32', '32 at once', { native: 80_000, js: 4_000 }),
  streams('rr-100', '100 at once', { native: 80_000, js: 4_000 }),
  {
    ...perOperation('msgs', { native: 2_000_000, js: 80_000 }),
    args: { bytes: 100 },
    figures: [{ ...RATE, name: 'messages of 100 B, a write each', unit: '/s' }]
  },
  {
    ...perOperation('lp', { native: 2_000_000, js: 80_000 }),
    args: { bytes: 100 },
    figures: [{ ...RATE, name: 'messages of 100 B, messages() beside lpStream', unit: '/s' }]
  },
  handshakes('handshake-seq', 'handshakes, one at a time', { native: 1_600, js: 250 }),
  handshakes('handshake-16', '16 at once', { native: 2_400, js: 320 }),
  {
    name: 'idle',
    flag: 'n',
    work: { native: 1_000, js: 1_000 },
    roundsMax: 3,
    figures: [
      { name: 'idle connection, server end', unit: 'KiB', value: serverKiB, better: 'less' },
      { name: 'idle connection, client end', unit: 'KiB', value: clientKiB, better: 'less' }
    ]
  }
]

/** How much of a scenario a peer is given. */
export function workOf(scenario, peer, scale) {
  const full = peer === 'js' ? scenario.work.js : scenario.work.native
  return Math.max(1, Math.round(full * scale))
}

function bulk(name) {
  return {
    name,
    flag: 'bytes',
    work: { native: 512 * MIB, js: 256 * MIB },
    figures: [{ name, unit: 'MB/s', value: (line) => line.MBps, better: 'more' }],
    cpu: { unit: 'ns/B', scale: 1e9, per: (line) => line.bytes },
    untimed: WARM_UP_BYTES
  }
}

function perOperation(name, work) {
  return { name, flag: 'n', work, cpu: { unit: 'us/op', scale: 1e6, per: (line) => line.ops } }
}

function streams(name, title, work) {
  return {
    ...perOperation(name, work),
    args: { bytes: 1_024 },
    figures: [{ ...RATE, name: title, unit: '/s' }]
  }
}

function handshakes(name, title, work) {
  return { ...perOperation(name, work), figures: [{ ...RATE, name: title, unit: '/s' }] }
}

function serverKiB(line) {
  return (line.server_full_kb - line.server_base_kb) / line.ops
}

function clientKiB(line) {
  return (line.client_full_kb - line.client_base_kb) / line.ops
}
