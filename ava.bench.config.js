// The scenarios of `npm run bench`, which runs this: bench/run.mjs says what is measured, and how long.
export default {
  files: ['bench/scenarios/*.mjs'],
  // One after another: whatever runs beside a measurement is measured.
  concurrency: 1,
  serial: true,
  workerThreads: false,
  // Each line of progress starts it anew; a run of a peer ends, or is ended, long before.
  timeout: '10m'
}
