/** The command line and other programs as child processes of a test. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { ExecutionContext } from 'ava'

/** The folder of package.json. */
export const ROOT: string = fileURLToPath(new URL('../../', import.meta.url))

/** The command line's entry. */
export const MAIN: string = fileURLToPath(new URL('../../ts/cli/main.ts', import.meta.url))

/** How a program ended, and what it wrote. */
export interface Ended {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

/** A line of `--json`. */
export type Line = Record<string, unknown> & { event: string }

/** `ferroswarm` with these words. */
export function ferroswarm(...words: string[]): Promise<Ended> {
  return program(process.execPath, [MAIN, ...words])
}

/** Run a program to its end. */
export async function program(
  path: string,
  words: readonly string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv } = {}
): Promise<Ended> {
  const child = spawn(path, words, { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'], ...options })
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

/** The objects of `--json`. */
export function jsonLines({ out }: Ended): Line[] {
  return out
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Line)
}

/** A program that runs until the test ends; `firstLine` is what it printed first. */
export async function running(
  t: ExecutionContext,
  words: readonly string[],
  options: { cwd?: string } = {}
): Promise<{ child: ChildProcess; firstLine: string; lines: string[] }> {
  const child = spawn(process.execPath, words, {
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

/** `ferroswarm listen --json` on loopback. */
export async function listener(
  t: ExecutionContext,
  ...words: string[]
): Promise<{ child: ChildProcess; peerId: string; addr: string; lines: string[] }> {
  const { child, firstLine, lines } = await running(t, [
    MAIN,
    'listen',
    '--json',
    '/ip4/127.0.0.1/tcp/0',
    ...words
  ])
  const { peerId, addrs } = JSON.parse(firstLine) as { peerId: string; addrs: string[] }
  return { child, peerId, addr: addrs[0] ?? '', lines }
}
