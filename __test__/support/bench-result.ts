/**
 * Returns a small result as `npm run bench` writes it: scenarios over two stacks and without one, a missing peer, a
 * peer whose rounds all failed, one that a figure does not measure, an unfit round, figures without CPU and floors.
 */
export function benchResult() {
  return {
    schema: 1,
    command: 'npm run bench -- --full --json bench/results/a.json',
    mode: 'full',
    commit: '0123456789abcdef0123456789abcdef01234567',
    dirty: false,
    started: '2026-11-21T10:00:00.000Z',
    seconds: 600,
    rounds: 3,
    secondsPerRound: 2,
    environment: {
      node: 'v24.21.0',
      cpu: '2 x CPU <fast> & "cheap"',
      memoryGiB: 24,
      congestionControl: 'reno',
      loadAverage: [0.5, 0.4, 0.3]
    },
    peers: {
      ours: { title: 'ferroswarm', version: '0.1.0', crypto: 'aws-lc-rs 1.19.0' },
      js: { title: 'js-libp2p', version: '3.3.11', crypto: 'OpenSSL' },
      go: { title: 'go-libp2p', version: '0.48.0' },
      zig: { title: 'zig-libp2p', missing: 'there is no <zig> | in PATH' },
      raw: { title: 'raw TCP' }
    },
    scenarios: [
      {
        id: 'S1',
        name: 'bulk',
        title: 'Bulk, one stream',
        stack: 'tcp-noise-yamux',
        figures: [upload()]
      },
      {
        id: 'S1',
        name: 'bulk',
        title: 'Bulk, one stream',
        stack: 'tcp-tls-yamux',
        figures: [upload()]
      },
      {
        id: 'S12',
        name: 'start',
        title: 'Start of a process',
        stack: null,
        figures: [start(), heap()]
      }
    ]
  }
}

/** Returns one figure of it. */
export function upload() {
  return {
    id: 'upload',
    title: 'upload, one stream',
    unit: 'MB/s',
    better: 'more',
    peers: {
      ours: {
        rounds: [
          { value: 900, cpuClient: 0.8, cpuServer: 0.6, load: 1, steal: 0 },
          { value: 1000, cpuClient: 0.7, cpuServer: 0.6, load: 1, steal: 0 },
          { value: 1100, cpuClient: 0.6, cpuServer: 0.6, load: 3.1, steal: 0, unfit: 'load 3.1' }
        ],
        median: 1000,
        min: 900,
        max: 1100,
        cpu: { unit: 'ns/B', client: 0.7, server: 0.6 }
      },
      js: {
        rounds: [{ value: 200 }, { value: 250 }, { error: 'the client ended with exit code 1' }],
        median: 225,
        min: 200,
        max: 250
      },
      go: { rounds: [{ error: 'refused' }, { error: 'refused' }, { error: 'refused' }] },
      raw: {
        rounds: [{ value: 4000 }, { value: 4100 }, { value: 4200 }],
        median: 4100,
        min: 4000,
        max: 4200
      }
    },
    ratios: {
      js: { median: 4.25, low: 4, high: 4.5, cpu: 0.195 },
      raw: { median: 0.243, low: 0.225, high: 0.262 }
    },
    floors: [
      {
        against: 'js',
        of: 'value',
        op: '>=',
        floor: 4,
        aim: 5.5,
        measured: 4.25,
        held: true,
        aimReached: false
      },
      {
        against: 'js',
        of: 'cpu',
        op: '<=',
        floor: 0.1,
        aim: null,
        measured: 0.195,
        held: false,
        aimReached: null
      },
      {
        against: 'go',
        of: 'value',
        op: '>=',
        floor: 1.2,
        aim: 2,
        measured: null,
        held: null,
        aimReached: null
      }
    ]
  }
}

function start() {
  const rounds = [{ value: 70 }, { value: 75 }, { value: 80 }]
  return {
    id: 'listening',
    title: 'start of a process to listening',
    unit: 'ms',
    better: 'less',
    peers: {
      ours: { rounds, median: 75, min: 70, max: 80 },
      js: { rounds: [], missing: 'has no such workload' }
    },
    ratios: {},
    floors: [
      {
        against: null,
        of: 'value',
        op: '<=',
        floor: 150,
        aim: 80,
        measured: 75,
        held: true,
        aimReached: true
      }
    ]
  }
}

function heap() {
  return {
    id: 'heap',
    title: 'heap at rest',
    unit: 'MiB',
    better: 'less',
    peers: { ours: { rounds: [{ value: 5 }], median: 5, min: 5, max: 5 } },
    ratios: {},
    floors: []
  }
}
