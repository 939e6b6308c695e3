// Servers and clients of interop/contract.md as processes, and what the system knows about them.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'

/** A run that takes longer is stuck. */
const RUN_TIMEOUT_MS = 180_000
/** What a server has to end in once its input has. */
const STOP_TIMEOUT_MS = 10_000
/** Clock ticks of /proc a second: USER_HZ, the same on every Linux. */
const TICKS_PER_S = 100

/** Start a server; resolves once it listens. */
export async function startServer(command, stack) {
  const child = spawn(
    command[0],
    [...command.slice(1), 'server', '--stack', stack, '--listen', '127.0.0.1:0'],
    { stdio: ['pipe', 'pipe', 'inherit'] }
  )
  child.stdin.on('error', () => {}) // It ended before its input did; `exit` tells.
  const exited = once(child, 'exit')
  const [line] = await Promise.race([
    once(createInterface({ input: child.stdout }), 'line'),
    exited.then(([code]) => {
      throw new Error(`the server ended with exit code ${code} before it listened`)
    })
  ])
  return {
    addr: JSON.parse(line).addr,
    pid: child.pid,
    stop: async () => {
      child.stdin.end()
      const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS)
      await exited
      clearTimeout(timer)
    }
  }
}

/** Run a client; calls `onLine` for each line it prints, then lets it go on. */
export async function runClient(command, stack, addr, args, onLine) {
  const flags = Object.entries(args).flatMap(([name, value]) => [`--${name}`, String(value)])
  const child = spawn(
    command[0],
    [...command.slice(1), 'client', '--stack', stack, '--addr', addr, ...flags],
    { stdio: ['pipe', 'pipe', 'inherit'] }
  )
  const timer = setTimeout(() => child.kill('SIGKILL'), RUN_TIMEOUT_MS)
  child.stdin.on('error', () => {}) // Only `idle` reads.
  let failure
  createInterface({ input: child.stdout }).on('line', (text) => {
    const line = JSON.parse(text)
    failure ??= line.error
    onLine(line)
    child.stdin.write('\n')
  })
  const [code, signal] = await once(child, 'close')
  clearTimeout(timer)
  if (failure !== undefined) throw new Error(failure)
  if (code !== 0) throw new Error(`the client ended with ${signal ?? `exit code ${code}`}`)
}

/** CPU seconds of a process so far, user and system; NaN where there is no /proc. */
export function cpuSeconds(pid) {
  try {
    // The name in parentheses may hold spaces; what follows it does not. utime and stime are fields 14 and 15.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ')
    return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_S
  } catch {
    return Number.NaN
  }
}

/** The resident set of a process in KiB; NaN where there is no /proc. */
export function residentKiB(pid) {
  try {
    return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1])
  } catch {
    return Number.NaN
  }
}
