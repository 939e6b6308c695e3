/** Starts the soak test in a process that can be measured: `npm run soak -- --minutes 30`. */
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const program = fileURLToPath(new URL('run.ts', import.meta.url))
const child = spawn(process.execPath, ['--expose-gc', program, ...process.argv.slice(2)], {
  stdio: 'inherit',
  // With an arena for each of thousands of threads, glibc would grow in steps for a long time.
  env: { ...process.env, MALLOC_ARENA_MAX: '2' }
})
child.once('exit', (code) => {
  process.exitCode = code ?? 1
})
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => child.kill(signal))
