// The scenarios of `npm run bench`, which runs this: bench/run.mjs says what is measured, and how long.
export default {
  files: ['bench/scenarios/*.mjs'],
  // One after another: whatever runs beside a measurement is measured.
  concurrency: 1,
  serial: true,
  workerThreads: false,
  // For one scenario over one stack. The soak takes ten minutes; a run of a peer that is stuck is ended long before.
  timeout: '20m'
}
