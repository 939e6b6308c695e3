export default {
  files: ['__test__/{unit,integration,interop}/**/*.spec.ts'],
  // Node strips the types by itself.
  extensions: ['ts'],
  timeout: '2m',
  // A process a file: the addon's threads and counters belong to one file at a time.
  workerThreads: false,
  // Nodes in one file keep more than one core busy.
  concurrency: 2
}
