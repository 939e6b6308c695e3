export default {
  files: ['__test__/{unit,integration,interop}/**/*.spec.ts'],
  // Node strips the types itself.
  extensions: ['ts'],
  timeout: '2m',
  // One process per file, which isolates the addon's threads and counters.
  workerThreads: false,
  // The nodes of one file keep more than one core busy.
  concurrency: 2
}
