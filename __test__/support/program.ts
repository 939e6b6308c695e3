/** Programs that tests run as child processes or in workers. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { type Ended, program } from './cli.ts'

const cache = mkdtempSync(join(tmpdir(), 'ferroswarm-cache-'))
test.after.always(() => rmSync(cache, { recursive: true, force: true }))

export const ENVIRONMENT: NodeJS.ProcessEnv = {
  ...process.env,
  // Hundreds of processes load the same modules.
  NODE_COMPILE_CACHE: cache,
  // With one arena per thread, free memory would look like a leak.
  MALLOC_ARENA_MAX: '2'
}

export function programUrl(name: string): URL {
  return new URL(`./programs/${name}.ts`, import.meta.url)
}

export function run(name: string, ...args: readonly string[]): Promise<Ended> {
  const path = programUrl(name).pathname
  return program(process.execPath, ['--expose-gc', path, ...args], { env: ENVIRONMENT })
}

export function lastLine<T>({ out }: { out: string }): T {
  return JSON.parse(out.trim().split('\n').at(-1) ?? '') as T
}
