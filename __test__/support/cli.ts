/** Runs the command line and other programs as child processes of a test. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { ExecutionContext } from 'ava'

/** Directory of package.json. */
export const ROOT: string = fileURLToPath(new URL('../../', import.meta.url))

/** Entry point of the command line. */
export const MAIN: string = fileURLToPath(new URL('../../ts/cli/main.ts', import.meta.url))

/** Exit code and output of a program. */
export interface Ended {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

/** A line of `--json` output. */
export type Line = Record<string, unknown> & { event: string }

/** Runs `ferroswarm` with these arguments. */
export function ferroswarm(...args: string[]): Promise<Ended> {
  return program(process.execPath, [MAIN, ...args])
}

// A program that hangs fails its own test, and not the whole run.
const HANG_MS = 600_000

/** Runs a program until it exits. */
export async function program(
  path: string,
  args: readonly string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv } = {}
): Promise<Ended> {
  const child = spawn(path, args, {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: HANG_MS,
    killSignal: 'SIGKILL',
    ...options
  })
  let out = ''
  let err = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text
  })
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, out, err }
}

/** Parses the lines of `--json` output. */
export function jsonLines({ out }: Ended): Line[] {
  return out
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Line)
}

/** Starts a program that runs until the test ends; `firstLine` is its first line of output. */
export async function running(
  t: ExecutionContext,
  args: readonly string[],
  options: { cwd?: string } = {}
): Promise<{ child: ChildProcess; firstLine: string; lines: string[] }> {
  const child = spawn(process.execPath, args, {
    cwd: ROOT,
    stdio: ['pipe', 'pipe', 'inherit'],
    ...options
  })
  t.teardown(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGKILL')
    await once(child, 'exit')
  })
  const lines: string[] = []
  const reader = createInterface({ input: child.stdout })
  reader.on('line', (line) => lines.push(line))
  const [firstLine] = (await Promise.race([
    once(reader, 'line'),
    once(child, 'exit').then(([code]) => Promise.reject(new Error(`ended with code ${code}`)))
  ])) as [string]
  return { child, firstLine, lines }
}

/** Starts `ferroswarm listen --json` on loopback. */
export async function listener(
  t: ExecutionContext,
  ...args: string[]
): Promise<{ child: ChildProcess; peerId: string; addr: string; lines: string[] }> {
  const { child, firstLine, lines } = await running(t, [
    MAIN,
    'listen',
    '--json',
    '/ip4/127.0.0.1/tcp/0',
    ...args
  ])
  const { peerId, addrs } = JSON.parse(firstLine) as { peerId: string; addrs: string[] }
  return { child, peerId, addr: addrs[0] ?? '', lines }
}
